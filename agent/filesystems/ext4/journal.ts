import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import type { OverlayBlock } from "../../blocks/overlay.ts";
import type { Contents } from "./contents.ts";
import type { InodeTable } from "./inode-table.ts";
import { scanFastCommits, type FastCommitTag } from "./jbd2/fast-commit-tags.ts";
import { journalSuperblockSizeBytes, parseJournalSuperblock } from "./jbd2/journal-superblock.ts";
import { LogReader } from "./jbd2/log-reader.ts";
import { recoverJournal } from "./jbd2/recovery.ts";
import type { Superblock } from "./superblock.ts";

/** mke2fs makes no larger journal: JBD2_MAX_JOURNAL_BLOCKS of e2fsprogs. */
const maxJournalBlocks = 10_240_000;

export interface JournalContents {
  /** By block number: what replaces it. */
  readonly blocks: Map<number, OverlayBlock>;
  readonly fastCommits: FastCommitTag[];
}

const emptyJournal: JournalContents = { blocks: new Map(), fastCommits: [] };

/**
 * What the journal of a filesystem that needs recovery holds. Throws "unsupported" for a journal on
 * another device, "corrupt" where Linux would refuse to mount.
 */
export async function readJournal(source: BlockSource, superblock: Superblock, inodes: InodeTable, contents: Contents): Promise<JournalContents> {
  if (!superblock.needsRecovery) return emptyJournal;
  if (superblock.journalIsExternal) throw unsupported("ext4 external journal: the filesystem needs recovery, and its journal is on another device");
  // Without a journal there is nothing to recover from, whatever the flag says.
  if (superblock.journalInode === 0) return emptyJournal;

  const inode = await inodes.getSystem(superblock.journalInode);
  if (inode.type !== "file") throw corrupt(`ext4 journal inode ${inode.number}`, inode.offsetBytes, "no regular file");
  const size = superblock.blockSizeBytes;
  const blockCount = Math.floor(Number(inode.size) / size);
  if (blockCount > maxJournalBlocks) {
    throw corrupt(`ext4 journal inode ${inode.number}`, inode.offsetBytes, `${blockCount} blocks, expected at most ${maxJournalBlocks}`);
  }
  if (blockCount === 0) throw corrupt(`ext4 journal inode ${inode.number}`, inode.offsetBytes, "the journal is empty");
  const log = new LogReader(source, await contents.mapAll(inode, 0, blockCount, blockCount), size);
  const first = Buffer.from((await log.read(0)).subarray(0, journalSuperblockSizeBytes));
  const journal = parseJournalSuperblock(first, size, blockCount, log.offsetOf(0));
  if (journal.startBlock === 0) return emptyJournal;
  const { blocks, endSequence } = await recoverJournal(log, journal, superblock.blockCount);
  return { blocks, fastCommits: await scanFastCommits(log, journal, endSequence, superblock.inodeSizeBytes) };
}
