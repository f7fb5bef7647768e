import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError, corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import type { FileSystemDriver } from "../filesystem.ts";
import type { FileSystemMember } from "../spanning.ts";
import { showUuid } from "./chunk-item.ts";
import { openBtrfs } from "./open.ts";
import { hasSuperblockMagic, magicEndBytes, mirrorOffsetsBytes, parseSuperblock, superblockOffsetBytes, superblockSizeBytes, type Superblock } from "./superblock.ts";
import type { BtrfsFileSystem } from "./filesystem.ts";

/**
 * btrfs. Shows what Linux shows of a read-only mount, its log replayed, but for this:
 * - The root is the default subvolume, as a plain mount has it. Where that isn't the top-level subvolume,
 *   the latter is reachable as ".btrfs-toplevel" below the root; no listing shows that name.
 * - A snapshot's entry of a subvolume that it doesn't hold is an empty folder, as in Linux; its time is
 *   its parent's, where Linux makes one up.
 * - Device and inode numbers of subvolumes are not Linux's; an inode's id is "subvolume:inode".
 * - When the first superblock is damaged its newest intact copy is used; Linux refuses.
 * - A filesystem over several devices opens without those that copies or parity make up for, as Linux does with
 *   "degraded"; without more than those it is refused, where Linux shows with "degraded" what is left.
 * - Of two devices that went separate ways the one with more commits counts, or the first; Linux mixes them.
 * - Of a device that missed commits, contents without checksums are read only where no other device has them.
 * - What replaces a device, and isn't done with it, is not read: the device it replaces is still complete.
 * - Filesystems that grew out of a seed are refused.
 */
export const btrfs: FileSystemDriver = {
  name: "btrfs",

  async probe(source: BlockSource): Promise<boolean> {
    if (source.sizeBytes < superblockOffsetBytes + magicEndBytes) return false;
    return hasSuperblockMagic(await source.read(superblockOffsetBytes, magicEndBytes));
  },

  async open(source: BlockSource): Promise<BtrfsFileSystem> {
    return openDevices([source]);
  },

  async readMember(source: BlockSource): Promise<FileSystemMember> {
    const { fsid, metadataUuid, generation, deviceCount, deviceId, deviceUuid } = await readSuperblock(source);
    // A clone given another UUID without rewriting it keeps the metadata_uuid.
    const key = `btrfs ${fsid.toString("hex")} ${metadataUuid.toString("hex")}`;
    return { key, title: `btrfs filesystem ${showUuid(fsid)}`, deviceId, deviceUuid: showUuid(deviceUuid), generation, deviceCount };
  },

  openMembers: openDevices,
};

/**
 * Opens a filesystem over several devices; some may be missing.
 * @throws MissingMember when another one is needed; "corrupt" when one belongs to another filesystem
 */
export async function openDevices(sources: readonly BlockSource[]): Promise<BtrfsFileSystem> {
  const devices: { source: BlockSource; superblock: Superblock }[] = [];
  for (const source of sources) devices.push({ source, superblock: await readSuperblock(source) });
  const newest = devices.reduce((best, device) => (device.superblock.generation > best.superblock.generation ? device : best));
  for (const { superblock } of devices) {
    if (superblock.metadataUuid.equals(newest.superblock.metadataUuid)) continue;
    throw corrupt("btrfs superblock", superblock.offsetBytes, `fsid ${superblock.fsid.toString("hex")} on one device, ${newest.superblock.fsid.toString("hex")} on another`);
  }
  // Each mounted without the other, two devices of a mirror go separate ways, and may count as many commits.
  const isOfNewest = ({ superblock }: (typeof devices)[number]): boolean =>
    superblock.generation < newest.superblock.generation || superblock.commonBytes.equals(newest.superblock.commonBytes);
  return openBtrfs(newest.superblock, devices.filter(isOfNewest), devices.filter((device) => !isOfNewest(device)).map(({ superblock }) => superblock));
}

/** The first superblock, which alone is written last; when it is damaged, its newest intact copy. */
async function readSuperblock(source: BlockSource): Promise<Superblock> {
  let first: DiskError;
  try {
    return await readOne(source, superblockOffsetBytes);
  } catch (error) {
    first = toDiskError(error);
    if (first.code === "unsupported") throw first;
  }
  let newest: Superblock | undefined;
  for (const offset of mirrorOffsetsBytes) {
    try {
      const found = await readOne(source, offset);
      if (newest === undefined || found.generation > newest.generation) newest = found;
    } catch (error) {
      // The error of the first one is what is told when no copy is good.
      if (!(error instanceof DiskError)) throw error;
    }
  }
  if (newest === undefined) throw first;
  return newest;
}

async function readOne(source: BlockSource, offsetBytes: number): Promise<Superblock> {
  if (source.sizeBytes < offsetBytes + superblockSizeBytes) throw corrupt("btrfs superblock", offsetBytes, `the volume has ${source.sizeBytes} bytes`);
  return parseSuperblock(asBuffer(await source.read(offsetBytes, superblockSizeBytes)), offsetBytes);
}
