// XFS numbers blocks and inodes by allocation group: the group in the high bits, the place in it below. The groups
// stand one after the other, but their size need not be a power of two, so numbers have gaps where bytes have none.
import type { Superblock } from "./superblock.ts";

/**
 * First byte of a block; undefined where the number, or the `count` blocks from it on, leave the group.
 * @param block sb_agblklog low bits: block of the group; above: the group
 */
export function findBlockOffset(superblock: Superblock, block: number, count: number): number | undefined {
  const perGroup = 2 ** superblock.groupBlockLog;
  const group = Math.floor(block / perGroup);
  const inGroup = block - group * perGroup;
  if (group >= superblock.groupCount || inGroup + count > groupSize(superblock, group)) return undefined;
  return (group * superblock.groupBlocks + inGroup) * superblock.blockSizeBytes;
}

/** First byte of an inode; undefined where the filesystem has no place for that number. */
export function findInodeOffset(superblock: Superblock, inode: number): number | undefined {
  const perBlock = 2 ** superblock.inodesPerBlockLog;
  const block = Math.floor(inode / perBlock);
  const blockOffset = findBlockOffset(superblock, block, 1);
  // Block 0 of the volume holds the superblock.
  if (blockOffset === undefined || blockOffset === 0) return undefined;
  return blockOffset + (inode - block * perBlock) * superblock.inodeSizeBytes;
}

/** Blocks of a group; the last one ends with the volume. */
function groupSize(superblock: Superblock, group: number): number {
  const { groupCount, groupBlocks, blockCount } = superblock;
  return group === groupCount - 1 ? blockCount - group * groupBlocks : groupBlocks;
}
