import { expect, test } from "vitest";
import { findBlockOffset, findInodeOffset } from "./addresses.ts";
import type { Superblock } from "./superblock.ts";

/** Three groups of 1000 blocks, the last of 500: numbers jump to the next power of two, bytes don't. */
const superblock = {
  blockSizeBytes: 4096, inodeSizeBytes: 512, inodesPerBlockLog: 3, groupBlocks: 1000, groupBlockLog: 10, groupCount: 3, blockCount: 2500,
} as Superblock;

test("blocks are found by group and place", () => {
  expect(findBlockOffset(superblock, 0, 1)).toBe(0);
  expect(findBlockOffset(superblock, 1024 + 5, 1)).toBe(1005 * 4096);
  expect(findBlockOffset(superblock, 2048 + 499, 1)).toBe(2499 * 4096);
});

test("blocks outside their group, and runs across two, are nowhere", () => {
  for (const [block, count] of [[1000, 1], [999, 2], [2048 + 500, 1], [3 * 1024, 1], [2 ** 52, 1]] as const) {
    expect(findBlockOffset(superblock, block, count)).toBeUndefined();
  }
});

test("inodes are found by their number alone", () => {
  expect(findInodeOffset(superblock, (1024 + 7) * 8 + 3)).toBe(1007 * 4096 + 3 * 512);
  expect(findInodeOffset(superblock, 0)).toBeUndefined();
  expect(findInodeOffset(superblock, 1001 * 8)).toBeUndefined();
});
