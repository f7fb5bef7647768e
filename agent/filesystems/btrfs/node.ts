// A node of a btrfs tree. Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_header, btrfs_item,
// btrfs_key_ptr), fs/btrfs/tree-checker.c and fs/btrfs/disk-io.c for what is valid.
//
// Offset | Size | Field      | Meaning
// 0x00   | 32   | csum       | of the bytes from 0x20 on
// 0x20   | 16   | fsid       | the metadata uuid of the filesystem
// 0x30   | 8    | bytenr     | its own logical address
// 0x50   | 8    | generation | of the commit that wrote it
// 0x58   | 8    | owner      | the tree that first held it
// 0x60   | 4    | nritems    |
// 0x64   | 1    | level      | 0 for a leaf
// 0x65   | ..   | leaf: items of 17 bytes key, u32 offset (from 0x65), u32 size; their data fill the node from its end.
//        |      | else: pointers of 17 bytes key, u64 logical address, u64 generation
import { corrupt, type DiskError } from "../../blocks/disk-error.ts";
import type { Checksum } from "./checksum.ts";
import { compareKeyAt, compareKeys, makeKey, readKey, readUInt64, showKey, type Key } from "./key.ts";

export const headerBytes = 0x65;
export const itemHeaderBytes = 25;
const pointerBytes = 33;

/** What the parent, a root item or the superblock says of a node. */
export interface NodePointer {
  readonly logical: number;
  readonly level: number;
  readonly generation: number;
  /** The tree it is reached through. */
  readonly owner: bigint;
  readonly firstKey?: Key;
}

export interface TreeNode {
  readonly bytes: Buffer;
  readonly logical: number;
  readonly level: number;
  readonly generation: number;
  readonly owner: bigint;
  readonly itemCount: number;
}

export interface NodeFormat {
  readonly nodeBytes: number;
  readonly sectorBytes: number;
  readonly metadataUuid: Buffer;
  readonly checksum: Checksum;
}

/** Checks everything that makes the node safe to walk. Throws "corrupt". */
export function parseNode(format: NodeFormat, bytes: Buffer, logical: number): TreeNode {
  const fail = (found: string) => nodeError(logical, found);
  if (!format.checksum.matches(bytes, 0x20, format.nodeBytes, bytes, 0)) throw fail(`its ${format.checksum.name} checksum doesn't match`);
  if (readUInt64(bytes, 0x30) !== logical) throw fail(`bytenr ${readUInt64(bytes, 0x30)}`);
  if (format.metadataUuid.compare(bytes, 0x20, 0x30) !== 0) throw fail(`fsid ${bytes.toString("hex", 0x20, 0x30)}, expected ${format.metadataUuid.toString("hex")}`);
  const level = bytes[0x64]!;
  const itemCount = bytes.readUInt32LE(0x60);
  const node: TreeNode = { bytes, logical, level, generation: readUInt64(bytes, 0x50), owner: bytes.readBigUInt64LE(0x58), itemCount };
  const room = Math.floor((format.nodeBytes - headerBytes) / (level === 0 ? itemHeaderBytes : pointerBytes));
  if (itemCount > room) throw fail(`nritems ${itemCount}, expected at most ${room}`);
  if (level > 0 && itemCount === 0) throw fail("it is no leaf, and empty");
  let previous: Key | undefined;
  let dataEnd = format.nodeBytes;
  const itemsEnd = headerBytes + itemCount * itemHeaderBytes;
  for (let index = 0; index < itemCount; index++) {
    const at = keyOffset(node, index);
    const key = readKey(bytes, at);
    if (previous !== undefined && compareKeys(previous, key) >= 0) throw fail(`item ${index} with key ${showKey(key)} comes after ${showKey(previous)}`);
    previous = key;
    if (level > 0) {
      const child = readUInt64(bytes, at + 17);
      if (child === 0 || child % format.sectorBytes !== 0 || !Number.isSafeInteger(child)) throw fail(`item ${index} points to ${child}`);
      continue;
    }
    const start = headerBytes + bytes.readUInt32LE(at + 17);
    const size = bytes.readUInt32LE(at + 21);
    if (start + size !== dataEnd || start < itemsEnd) throw fail(`the data of item ${index} lie at ${start}, ${size} bytes, expected to end at ${dataEnd}`);
    dataEnd = start;
  }
  return node;
}

/** Checks a node against what led to it. Throws "corrupt". */
export function assertExpected(node: TreeNode, pointer: NodePointer): void {
  if (node.level !== pointer.level) throw nodeError(node.logical, `level ${node.level}, expected ${pointer.level}`);
  if (node.generation !== pointer.generation) throw nodeError(node.logical, `generation ${node.generation}, expected ${pointer.generation}`);
  if (!mayOwn(node.owner, pointer.owner)) throw nodeError(node.logical, `owner ${node.owner}, expected ${BigInt.asIntN(64, pointer.owner)}`);
  if (pointer.firstKey !== undefined && node.itemCount > 0 && compareKeyAt(node.bytes, headerBytes, pointer.firstKey) !== 0) {
    throw nodeError(node.logical, `first key ${showKey(readKey(node.bytes, headerBytes))}, expected ${showKey(pointer.firstKey)}`);
  }
  if (pointer.firstKey !== undefined && node.itemCount === 0) throw nodeError(node.logical, "it is empty");
}

const fsTree = 5n;
const firstSubvolume = 256n;
/** Trees that relocation copies keep this owner for a while. */
const treeReloc = BigInt.asUintN(64, -8n);

export function isFileTree(id: bigint): boolean {
  return id === fsTree || (BigInt.asIntN(64, id) >= firstSubvolume);
}

/** Snapshots share nodes, so any file tree may own a node of another; other trees own theirs alone. */
function mayOwn(owner: bigint, tree: bigint): boolean {
  return owner === tree || (isFileTree(tree) && (isFileTree(owner) || owner === treeReloc));
}

export function nodeError(logical: number, found: string): DiskError {
  return corrupt(`btrfs tree node at logical ${logical}`, undefined, found);
}

/** Where the key of an item or pointer stands in the node. */
export function keyOffset(node: TreeNode, index: number): number {
  return headerBytes + index * (node.level === 0 ? itemHeaderBytes : pointerBytes);
}

export function keyAt(node: TreeNode, index: number): Key {
  return readKey(node.bytes, keyOffset(node, index));
}

/** The data of a leaf's item. */
export function itemData(leaf: TreeNode, index: number): Buffer {
  const at = keyOffset(leaf, index);
  const start = headerBytes + leaf.bytes.readUInt32LE(at + 17);
  return leaf.bytes.subarray(start, start + leaf.bytes.readUInt32LE(at + 21));
}

export function pointerAt(node: TreeNode, index: number, owner: bigint): NodePointer {
  const at = keyOffset(node, index);
  return {
    logical: readUInt64(node.bytes, at + 17),
    level: node.level - 1,
    generation: readUInt64(node.bytes, at + 25),
    owner,
    firstKey: readKey(node.bytes, at),
  };
}

/** Index of the first item whose key is not before `key`. */
export function lowerBound(node: TreeNode, key: Key): number {
  let low = 0;
  let high = node.itemCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeyAt(node.bytes, keyOffset(node, middle), key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Item {
  readonly key: Key;
  readonly data: Buffer;
}

/** A leaf of these items, sorted by key; it may be larger than any on a disk. */
export function buildLeaf(items: readonly Item[], logical: number, owner: bigint): TreeNode {
  let size = headerBytes;
  for (const { data } of items) size += itemHeaderBytes + data.length;
  const bytes = Buffer.alloc(size);
  let dataEnd = size;
  items.forEach(({ key, data }, index) => {
    const at = headerBytes + index * itemHeaderBytes;
    dataEnd -= data.length;
    bytes.writeUInt32LE(key.objectLow, at);
    bytes.writeUInt32LE(key.objectHigh, at + 4);
    bytes[at + 8] = key.type;
    bytes.writeUInt32LE(key.offsetLow, at + 9);
    bytes.writeUInt32LE(key.offsetHigh, at + 13);
    bytes.writeUInt32LE(dataEnd - headerBytes, at + 17);
    bytes.writeUInt32LE(data.length, at + 21);
    bytes.set(data, dataEnd);
  });
  return { bytes, logical, level: 0, generation: 0, owner, itemCount: items.length };
}

export const firstKeyOfAll: Key = makeKey(0, 0, 0);
