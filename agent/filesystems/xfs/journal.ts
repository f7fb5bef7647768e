import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { findBlockOffset } from "./addresses.ts";
import { assertLogIncompatReadable } from "./features.ts";
import { findLogExtent } from "./log/extent.ts";
import { ReplayDisk } from "./log/replay-disk.ts";
import { replayLog } from "./log/replay.ts";
import { LogRing } from "./log/ring.ts";
import { noPendingChanges, type PendingChanges } from "./pending-changes.ts";
import type { Superblock } from "./superblock.ts";

/** XFS_MIN_LOG_BLOCKS and XFS_MAX_LOG_BYTES of Linux. */
const minLogBytes = 256 * 1024;
const maxLogBytes = 2 ** 31;

export interface JournalContents {
  /** By block index of the filesystem's block size: what replaces it. */
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  readonly changes: PendingChanges;
  readonly isEmpty: boolean;
}

/**
 * What the log of a filesystem that was not unmounted holds. Throws "unsupported" for a log on another device, "corrupt"
 * where Linux would refuse to mount.
 */
export async function readJournal(source: BlockSource, superblock: Superblock): Promise<JournalContents> {
  const { logStart, logBlocks, blockSizeBytes } = superblock;
  if (logStart === 0) throw unsupported("XFS external log: the newest changes may be in it, and it is on another device");
  const offsetBytes = findBlockOffset(superblock, logStart, logBlocks);
  if (offsetBytes === undefined) throw corrupt("XFS superblock", 0, `log of ${logBlocks} blocks at block ${logStart}, outside the volume`);
  const logBytes = logBlocks * blockSizeBytes;
  if (logBytes < minLogBytes || logBytes > maxLogBytes) throw corrupt("XFS superblock", 0, `log of ${logBytes} bytes`);
  const ring = new LogRing(source, superblock, offsetBytes);
  const extent = await findLogExtent(ring);
  const disk = new ReplayDisk(source, blockSizeBytes);
  const changes = noPendingChanges();
  if (extent.head === extent.tail) return { blocks: disk.blocks, changes, isEmpty: true };
  assertLogIncompatReadable(superblock.logIncompat);
  await replayLog(ring, extent, disk, changes);
  return { blocks: disk.blocks, changes, isEmpty: false };
}
