// The B+tree of a fork with many extents: a root in the inode, blocks below it.
// Source: "XFS Algorithms & Data Structures" (B+tree extents), Linux fs/xfs/libxfs/xfs_format.h (xfs_bmdr_block,
// xfs_btree_block).
//
// Root, in the fork:
// 0      | 2    | bb_level    | levels below it, at least 1
// 2      | 2    | bb_numrecs  |
// 4      | 8n   | keys        | first block within the fork of each child; room for as many as fit with their pointers
// then   | 8n   | pointers    | block number of each child
// Block:
// 0      | 4    | bb_magic    | "BMAP"; "BMA3" on version 5
// 4      | 2    | bb_level    | 0: a leaf
// 6      | 2    | bb_numrecs  |
// 8      | 16   | siblings    | left and right
// 24     | 48   | blkno, lsn, uuid, owner, crc | version 5: see block-header.ts
// 24, 72 |      |             | leaf: extent records; else keys and pointers as in the root
import { readUInt64 } from "./block-header.ts";
import { extentRecordBytes, parseExtentRecords, type ExtentList } from "./extent-record.ts";
import type { Superblock } from "./superblock.ts";

const magicVersion4 = 0x424d4150;
export const magicVersion5 = 0x424d4133;
const headerBytesVersion4 = 24;
const headerBytesVersion5 = 72;
const rootHeaderBytes = 4;
const keyAndPointerBytes = 16;

/** XFS_BTREE_MAXLEVELS of Linux, rounded up: a tree of this height can map more than any disk has. */
export const maxTreeLevels = 16;

export interface ExtentTreeIndex {
  readonly level: number;
  /** First block within the fork of each child, ascending. */
  readonly logical: Float64Array;
  readonly child: Float64Array;
}

export interface ExtentTreeLeaf extends ExtentList {
  readonly level: 0;
}

export type ExtentTreeNode = ExtentTreeIndex | ExtentTreeLeaf;

export function isLeaf(node: ExtentTreeNode): node is ExtentTreeLeaf {
  return node.level === 0;
}

/** @returns the root, or what is wrong with it */
export function parseTreeRoot(fork: Buffer): ExtentTreeIndex | string {
  if (fork.length < rootHeaderBytes + keyAndPointerBytes) return `${fork.length} bytes, too few for a tree`;
  const level = fork.readUInt16BE(0);
  const count = fork.readUInt16BE(2);
  const room = Math.floor((fork.length - rootHeaderBytes) / keyAndPointerBytes);
  if (level === 0 || level > maxTreeLevels) return `bb_level ${level}, expected 1 to ${maxTreeLevels}`;
  if (count === 0 || count > room) return `bb_numrecs ${count}, expected 1 to ${room}`;
  return parseIndex(fork, rootHeaderBytes, room, count, level);
}

/** @returns the node, or what is wrong with it */
export function parseTreeBlock(superblock: Superblock, block: Buffer, level: number): ExtentTreeNode | string {
  const magic = block.readUInt32BE(0);
  const expectedMagic = superblock.version === 5 ? magicVersion5 : magicVersion4;
  if (magic !== expectedMagic) return `magic 0x${magic.toString(16)}, expected 0x${expectedMagic.toString(16)}`;
  const actualLevel = block.readUInt16BE(4);
  if (actualLevel !== level) return `bb_level ${actualLevel}, expected ${level}`;
  const count = block.readUInt16BE(6);
  const header = superblock.version === 5 ? headerBytesVersion5 : headerBytesVersion4;
  const room = Math.floor((block.length - header) / (level === 0 ? extentRecordBytes : keyAndPointerBytes));
  if (count > room || (count === 0 && level > 0)) return `bb_numrecs ${count}, expected 1 to ${room}`;
  if (level > 0) return parseIndex(block, header, room, count, level);
  const list = parseExtentRecords(block, header, count);
  return typeof list === "string" ? list : { level: 0, ...list };
}

function parseIndex(data: Buffer, at: number, room: number, count: number, level: number): ExtentTreeIndex | string {
  const logical = new Float64Array(count);
  const child = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    logical[index] = readUInt64(data, at + index * 8);
    child[index] = readUInt64(data, at + room * 8 + index * 8);
    if (index > 0 && logical[index]! <= logical[index - 1]!) return `key ${index} is not above the one before`;
  }
  return { level, logical, child };
}
