import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { overlay } from "../../blocks/overlay.ts";
import type { FileSystemDriver } from "../filesystem.ts";
import { Contents } from "./contents.ts";
import { applyFastCommits } from "./fast-commit.ts";
import { noChanges } from "./fast-commit-changes.ts";
import { fileSystemType } from "./features.ts";
import { Ext4FileSystem, type Parts } from "./filesystem.ts";
import { GroupDescriptors } from "./group-descriptors.ts";
import { InodeTable } from "./inode-table.ts";
import { readJournal } from "./journal.ts";
import { hasSuperblockMagic, parseSuperblock, superblockOffsetBytes, superblockSizeBytes, type Superblock } from "./superblock.ts";

/** Above this many descriptor blocks the superblock's own count has to do: reading them all would take too long. */
const maxDescriptorBlocksCounted = 1024;

/**
 * ext2, ext3 and ext4: one format with different features. Shows what Linux shows after its own
 * recovery, but for this:
 * - Names in a damaged directory are listed with an error, where Linux skips the block or the rest of it.
 * - A file whose map is damaged keeps its attributes, with a contentError; Linux refuses its stat.
 * - Recovery leaves no time stamps: Linux gives the files it truncates, and the folders that fast
 *   commits change, the time of the mount.
 * - A fast commit that was cut short is ignored, and folders that Linux's replay of fast commits loses
 *   (an inode freed and used again in one commit) are kept.
 * - Encrypted names are shown as Linux shows them without the key; encrypted link targets are not shown.
 * - A journal that needs no recovery is not looked at, even if it is damaged.
 */
export const ext4: FileSystemDriver = {
  name: "ext4",

  async probe(source: BlockSource): Promise<boolean> {
    if (source.sizeBytes < superblockOffsetBytes + superblockSizeBytes) return false;
    return hasSuperblockMagic(await source.read(superblockOffsetBytes, superblockSizeBytes));
  },

  async open(source: BlockSource): Promise<Ext4FileSystem> {
    const before = await openParts(source);
    const journal = await readJournal(source, before.superblock, before.inodes, before.contents);
    // The log may hold any block, the superblock and the group descriptors too: everything is read anew.
    const recovered = journal.blocks.size > 0 || journal.fastCommits.length > 0;
    const parts = recovered ? await openParts(overlay(source, before.superblock.blockSizeBytes, journal.blocks)) : before;
    await applyFastCommits(journal.fastCommits, parts);

    const { superblock } = parts;
    const root = await parts.inodes.get(2);
    if (root.type !== "directory") throw corrupt("ext4 root directory", root.offsetBytes, "inode 2 is no directory");
    return new Ext4FileSystem(parts, {
      type: fileSystemType(superblock.features),
      label: superblock.label,
      uuid: superblock.uuid,
      sizeBytes: superblock.blockCount * superblock.blockSizeBytes,
      usedBytes: await countUsedBytes(superblock, parts.groups),
      blockSizeBytes: superblock.blockSizeBytes,
      state: recovered ? "recovered" : superblock.validState ? "clean" : "dirty",
    });
  },
};

async function openParts(source: BlockSource): Promise<Parts> {
  const superblock = await readSuperblock(source);
  const changes = noChanges();
  const groups = new GroupDescriptors(source, superblock);
  const inodes = new InodeTable(source, superblock, groups, changes);
  return { source, superblock, groups, inodes, contents: new Contents(source, superblock, changes), changes };
}

async function readSuperblock(source: BlockSource): Promise<Superblock> {
  if (source.sizeBytes < superblockOffsetBytes + superblockSizeBytes) {
    throw corrupt("ext4 superblock", superblockOffsetBytes, `the volume has ${source.sizeBytes} bytes`);
  }
  return parseSuperblock(await source.read(superblockOffsetBytes, superblockSizeBytes), source.sizeBytes);
}

/** As df counts: without the filesystem's own structures, as far as the superblock tells. */
async function countUsedBytes(superblock: Superblock, groups: GroupDescriptors): Promise<number> {
  let freeClusters = superblock.freeClusterCount;
  if (groups.descriptorBlockCount <= maxDescriptorBlocksCounted) {
    freeClusters = 0;
    for (let block = 0; block < groups.descriptorBlockCount; block++) {
      for (const descriptor of await groups.block(block)) freeClusters += descriptor.freeClusters;
    }
  }
  const unavailable = (freeClusters + superblock.overheadClusterCount) * superblock.clusterSizeBytes;
  const used = superblock.blockCount * superblock.blockSizeBytes - unavailable;
  return Math.max(0, used);
}
