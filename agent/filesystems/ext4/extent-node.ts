// A node of an extent tree: a 12-byte header, then 12-byte entries, little-endian. The root lies in
// the inode (60 bytes), every other node fills a block and may end in a checksum.
// Source: Linux Documentation/filesystems/ext4/ifork.rst.
//
// Offset | Size | Field          | Meaning
// 0x0    | 2    | eh_magic       | 0xf30a
// 0x2    | 2    | eh_entries     | entries in use
// 0x4    | 2    | eh_max         | entries there is room for
// 0x6    | 2    | eh_depth       | 0: a leaf
//
// Leaf entry:
// 0x0    | 4    | ee_block       | first logical block
// 0x4    | 2    | ee_len         | blocks; above 32768 allocated but unwritten, less 32768
// 0x6    | 2    | ee_start_hi    | first physical block, high part
// 0x8    | 4    | ee_start_lo    | low part
//
// Index entry:
// 0x0    | 4    | ei_block       | first logical block of the subtree
// 0x4    | 4    | ei_leaf_lo     | block of the child node, low part
// 0x8    | 2    | ei_leaf_hi     | high part
import type { Superblock } from "./superblock.ts";

const extentMagic = 0xf30a;
const headerSizeBytes = 12;
const entrySizeBytes = 12;
const maxWrittenLength = 32_768;

/** 2^32 logical blocks fit in a tree of this depth with nodes of the smallest size: EXT4_MAX_EXTENT_DEPTH. */
export const maxExtentDepth = 5;

/** Entries a root can hold. */
const rootCapacity = (60 - headerSizeBytes) / entrySizeBytes;

export interface ExtentLeaf {
  readonly depth: 0;
  readonly logical: Uint32Array;
  readonly length: Uint32Array;
  /** First physical block, or -1 for an unwritten extent. */
  readonly physical: Float64Array;
}

export interface ExtentIndex {
  readonly depth: number;
  readonly logical: Uint32Array;
  readonly child: Float64Array;
}

export type ExtentNode = ExtentLeaf | ExtentIndex;

export function isLeaf(node: ExtentNode): node is ExtentLeaf {
  return node.depth === 0;
}

/** What is wrong with the node at `data[at]` of `size` bytes, or undefined; allocates nothing when all is well. */
export function checkExtentNode(data: Buffer, at: number, size: number, superblock: Superblock): string | undefined {
  const magic = data.readUInt16LE(at);
  if (magic !== extentMagic) return `magic 0x${magic.toString(16)}, expected 0xf30a`;
  const entries = data.readUInt16LE(at + 2);
  const max = data.readUInt16LE(at + 4);
  const depth = data.readUInt16LE(at + 6);
  const capacity = Math.floor((size - headerSizeBytes) / entrySizeBytes);
  if (depth > maxExtentDepth) return `eh_depth ${depth}, expected at most ${maxExtentDepth}`;
  if (max === 0 || max > capacity) return `eh_max ${max}, expected 1 to ${capacity}`;
  if (entries > max) return `eh_entries ${entries}, expected at most ${max}`;
  if (entries === 0 && depth > 0) return "index node without entries";
  let next = 0;
  for (let i = 0; i < entries; i++) {
    const entry = at + headerSizeBytes + i * entrySizeBytes;
    const logical = data.readUInt32LE(entry);
    if (logical < next) return `entry ${i} begins at logical block ${logical}, expected ${next} or later`;
    if (depth > 0) {
      const child = data.readUInt32LE(entry + 4) + data.readUInt16LE(entry + 8) * 2 ** 32;
      if (!isValidBlockRange(superblock, child, 1)) return `entry ${i} points to block ${child}, outside the filesystem`;
      next = logical + 1;
    } else {
      const stored = data.readUInt16LE(entry + 4);
      const length = stored > maxWrittenLength ? stored - maxWrittenLength : stored;
      const physical = data.readUInt32LE(entry + 8) + data.readUInt16LE(entry + 6) * 2 ** 32;
      // Logical blocks end below 2^32 - 1: the last number stands for "none".
      if (length === 0 || logical + length > 2 ** 32 - 1) return `entry ${i} has ${length} blocks from logical block ${logical} on`;
      if (!isValidBlockRange(superblock, physical, length)) {
        return `entry ${i} maps to blocks ${physical} to ${physical + length - 1}, outside the filesystem`;
      }
      next = logical + length;
    }
  }
  return undefined;
}

export function checkExtentRoot(data: Buffer, at: number, superblock: Superblock): string | undefined {
  return checkExtentNode(data, at, headerSizeBytes + rootCapacity * entrySizeBytes, superblock);
}

/** Blocks of files never lie at or before the superblock, nor beyond the end. */
export function isValidBlockRange(superblock: Superblock, first: number, count: number): boolean {
  return first > superblock.firstDataBlock && first + count <= superblock.blockCount;
}

/** Parses a node that checkExtentNode() had nothing against. */
export function parseExtentNode(data: Buffer, at = 0): ExtentNode {
  const entries = data.readUInt16LE(at + 2);
  const depth = data.readUInt16LE(at + 6);
  const logical = new Uint32Array(entries);
  const target = new Float64Array(entries);
  if (depth > 0) {
    for (let i = 0; i < entries; i++) {
      const entry = at + headerSizeBytes + i * entrySizeBytes;
      logical[i] = data.readUInt32LE(entry);
      target[i] = data.readUInt32LE(entry + 4) + data.readUInt16LE(entry + 8) * 2 ** 32;
    }
    return { depth, logical, child: target };
  }
  const length = new Uint32Array(entries);
  for (let i = 0; i < entries; i++) {
    const entry = at + headerSizeBytes + i * entrySizeBytes;
    const stored = data.readUInt16LE(entry + 4);
    logical[i] = data.readUInt32LE(entry);
    length[i] = stored > maxWrittenLength ? stored - maxWrittenLength : stored;
    target[i] = stored > maxWrittenLength ? -1 : data.readUInt32LE(entry + 8) + data.readUInt16LE(entry + 6) * 2 ** 32;
  }
  return { depth: 0, logical, length, physical: target };
}

/** Where the checksum of a node that fills a block stands: right after the room for its entries. */
export function extentTailOffset(data: Buffer): number {
  return headerSizeBytes + data.readUInt16LE(4) * entrySizeBytes;
}
