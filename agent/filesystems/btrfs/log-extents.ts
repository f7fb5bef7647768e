// What replaying a log does to the extents of files. Source: the behaviour of Linux fs/btrfs/tree-log.c and
// btrfs_drop_extents in fs/btrfs/file.c.
import { corrupt } from "../../blocks/disk-error.ts";
import type { EditableTree } from "./editable-tree.ts";
import { regularBytes } from "./file-extent.ts";
import { isOf, itemTypes, makeKey, maxOffset, objectidOf, offsetOf, readUInt64, type Key } from "./key.ts";
import type { Item } from "./node.ts";

const typeField = 0x14;
const ramBytesField = 0x08;
const diskLogicalField = 0x15;
const offsetField = 0x25;
const lengthField = 0x2d;
const inline = 0;

export interface LogExtentOptions {
  readonly sectorBytes: number;
  /** Holes are not stored. */
  readonly noHoles: boolean;
}

/** Puts an extent of the log in its place. */
export async function replayExtent(tree: EditableTree, options: LogExtentOptions, key: Key, data: Buffer): Promise<void> {
  const inode = objectidOf(key);
  const start = offsetOf(key);
  const end = start + extentLength(data, options.sectorBytes, inode);
  const existing = await tree.find(key);
  if (existing !== undefined && data[typeField] !== inline && existing.equals(data)) return;
  await dropExtents(tree, options, inode, start, end);
  const isHole = data[typeField] !== inline && readUInt64(data, diskLogicalField) === 0;
  if (isHole && options.noHoles) return;
  tree.set(key, Buffer.from(data));
}

/** Takes [start, end) of a file away: extents inside it go, those that reach over its borders are cut. */
export async function dropExtents(tree: EditableTree, options: LogExtentOptions, inode: number, start: number, end: number): Promise<void> {
  const last = Number.isSafeInteger(end) ? makeKey(inode, itemTypes.extentData, Math.max(0, end - 1)) : makeKey(inode, itemTypes.extentData, maxOffset);
  for (const { key, data } of await overlapping(tree, inode, start, last)) {
    const from = offsetOf(key);
    const to = from + extentLength(data, options.sectorBytes, inode);
    if (to <= start || from >= end) continue;
    if (data[typeField] === inline) {
      tree.delete(key);
      continue;
    }
    if (from >= start) tree.delete(key);
    else tree.set(key, cut(data, 0, start - from));
    if (to > end) tree.set(makeKey(inode, itemTypes.extentData, end), cut(data, end - from, to - end));
  }
}

/** The extents that begin before `last`, from the one that may reach over `start` on. */
async function overlapping(tree: EditableTree, inode: number, start: number, last: Key): Promise<Item[]> {
  const all = await tree.collect(makeKey(inode, itemTypes.extentData, 0), last);
  let first = all.length;
  while (first > 0 && offsetOf(all[first - 1]!.key) > start) first--;
  return all.slice(Math.max(0, first - 1)).filter(({ key }) => isOf(key, inode, itemTypes.extentData));
}

function cut(data: Buffer, skip: number, length: number): Buffer {
  const copy = Buffer.from(data);
  copy.writeBigUInt64LE(copy.readBigUInt64LE(offsetField) + BigInt(skip), offsetField);
  copy.writeBigUInt64LE(BigInt(length), lengthField);
  return copy;
}

function extentLength(data: Buffer, sectorBytes: number, inode: number): number {
  const fail = (found: string) => corrupt(`btrfs extent of inode ${inode}`, undefined, found);
  if (data.length <= typeField) throw fail(`${data.length} bytes`);
  if (data[typeField] === inline) return Math.ceil(readUInt64(data, ramBytesField) / sectorBytes) * sectorBytes;
  if (data.length !== regularBytes) throw fail(`${data.length} bytes, expected ${regularBytes}`);
  const length = readUInt64(data, lengthField);
  if (!Number.isSafeInteger(length)) throw fail(`num_bytes ${length}`);
  return length;
}
