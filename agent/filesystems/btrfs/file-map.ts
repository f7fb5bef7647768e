import type { MaybePromise } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import type { FileExtent } from "../filesystem.ts";
import { decompress } from "./compression.ts";
import type { DataReader } from "./data-reader.ts";
import { parseFileExtent, type FileExtentItem } from "./file-extent.ts";
import type { Inode } from "./inode-item.ts";
import { isOf, itemTypes, makeKey, offsetOf } from "./key.ts";
import { itemData, keyAt, type TreeNode } from "./node.ts";
import type { LeafView, Tree } from "./tree.ts";

/** What is read and verified at once: few round trips, and little wasted when a transfer ends early. */
const verifiedRunBytes = 512 * 1024;
/** Extents given at once: half a gigabyte of verified data, and little memory whatever lengths the disk claims. */
const maxExtents = 1024;

export interface MappedFile {
  readonly tree: Tree;
  readonly number: number;
  readonly inode: Inode;
  /** For messages. */
  readonly what: string;
  readonly sectorBytes: number;
  readonly data: DataReader;
}

/** The extents of [offset, end) as far as one leaf tells; at least one. `end` is at most the file's size. */
export function mapFile(file: MappedFile, offset: number, end: number): MaybePromise<FileExtent[]> {
  const { tree, number } = file;
  return chain(tree.floor(makeKey(number, itemTypes.extentData, offset)), (view) => {
    if (view === undefined) return mapFrom(file, undefined, offset, end);
    return mapFrom(file, view, offset, end);
  });
}

function mapFrom(file: MappedFile, view: LeafView | undefined, offset: number, end: number): MaybePromise<FileExtent[]> {
  const extents: FileExtent[] = [];
  if (view === undefined) return [{ kind: "hole", offset, length: end - offset }];
  const { leaf, upper } = view;
  let position = offset;
  for (let index = view.index; index < leaf.itemCount && position < end; index++) {
    const key = keyAt(leaf, index);
    if (!isOf(key, file.number, itemTypes.extentData)) {
      // The floor of the first key may be another item, right before this file's.
      if (index === view.index) continue;
      addHole(extents, position, end);
      return extents;
    }
    const start = offsetOf(key);
    if (!Number.isSafeInteger(start) || start >= end) {
      addHole(extents, position, end);
      return extents;
    }
    const item = parseFileExtent(itemData(leaf, index), start, file.sectorBytes, file.what);
    const covered = item.kind === "inline" ? Math.ceil(item.lengthBytes / file.sectorBytes) * file.sectorBytes : item.lengthBytes;
    const itemEnd = Math.min(start + covered, end, nextStart(file, leaf, index));
    if (itemEnd <= position) continue;
    if (start > position) {
      addHole(extents, position, start);
      position = start;
    }
    addItem(extents, file, item, start, position, itemEnd);
    if (extents.length >= maxExtents) return extents;
    position = itemEnd;
  }
  if (position >= end || (extents.length > 0 && upper !== undefined)) return extents;
  // Nothing in this leaf covers the position: what comes first in the next one tells how far the hole reaches.
  if (upper === undefined) {
    addHole(extents, position, end);
    return extents;
  }
  return chain(holeEnd(file, upper, end), (holeEndBytes) => {
    addHole(extents, position, holeEndBytes);
    return extents;
  });
}

/** Where the next extent of the file starts, from the leaf that begins with `upper` on; `end` where there is none before it. */
function holeEnd(file: MappedFile, upper: Parameters<Tree["leafFor"]>[0], end: number): MaybePromise<number> {
  return chain(file.tree.leafFor(upper), ({ leaf, index, upper: nextUpper }) => {
    // Only a log's replay leaves a leaf empty, and then the next one is asked; keys ascend, so this ends.
    if (index >= leaf.itemCount) return nextUpper === undefined ? end : holeEnd(file, nextUpper, end);
    const key = keyAt(leaf, index);
    const start = isOf(key, file.number, itemTypes.extentData) ? offsetOf(key) : end;
    return Number.isSafeInteger(start) && start < end ? start : end;
  });
}

/** Linux refuses extents that overlap; here the later one ends the earlier. */
function nextStart(file: MappedFile, leaf: TreeNode, index: number): number {
  if (index + 1 >= leaf.itemCount) return Infinity;
  const key = keyAt(leaf, index + 1);
  return isOf(key, file.number, itemTypes.extentData) ? offsetOf(key) : Infinity;
}

function addHole(extents: FileExtent[], position: number, end: number): void {
  if (end <= position) return;
  const last = extents.at(-1);
  if (last?.kind === "hole" && last.offset + last.length === position) extents[extents.length - 1] = { ...last, length: end - last.offset };
  else extents.push({ kind: "hole", offset: position, length: end - position });
}

function addItem(extents: FileExtent[], file: MappedFile, item: FileExtentItem, start: number, position: number, end: number): void {
  const skip = position - start;
  const length = end - position;
  const isVerified = !file.inode.noDataChecksums;
  if (item.kind === "hole") addHole(extents, position, end);
  else if (item.kind === "inline") {
    const bytes = readInline(item, file.sectorBytes).subarray(skip, skip + length);
    if (bytes.length > 0) extents.push({ kind: "inline", offset: position, length: bytes.length, bytes });
    addHole(extents, position + bytes.length, end);
  } else if (item.compression !== 0) {
    extents.push({
      kind: "decoded", offset: position, length,
      read: async (signal) => {
        const decoded = await file.data.readCompressed(item, isVerified, signal);
        const from = item.offsetBytes + skip;
        if (from + length <= decoded.length) return decoded.subarray(from, from + length);
        // ram_bytes may end within the last sector, which is zeros from there on.
        const padded = Buffer.alloc(length);
        decoded.copy(padded, 0, from);
        return padded;
      },
    });
  } else if (!isVerified) {
    extents.push({ kind: "data", offset: position, length, source: file.data.space, sourceOffset: item.diskLogical + item.offsetBytes + skip });
  } else {
    for (let at = position; at < end && extents.length < maxExtents; ) {
      // Cut at fixed places of the file, so that ranges that meet read alike.
      const runEnd = Math.min(end, (Math.floor(at / verifiedRunBytes) + 1) * verifiedRunBytes);
      const runLength = runEnd - at;
      const logical = item.diskLogical + item.offsetBytes + (at - start);
      extents.push({ kind: "decoded", offset: at, length: runLength, read: (signal) => file.data.readVerified(logical, runLength, signal) });
      at = runEnd;
    }
  }
}

function readInline(item: Extract<FileExtentItem, { kind: "inline" }>, sectorBytes: number): Buffer {
  return item.compression === 0 ? item.data : decompress(item.compression, item.data, item.ramBytes, sectorBytes);
}

/** The target of a symlink: inline data from its start on, `size` bytes of it up to the first NUL. */
export function readInlineTarget(file: MappedFile): MaybePromise<Buffer> {
  const { tree, number, inode, what, sectorBytes } = file;
  return chain(tree.find(makeKey(number, itemTypes.extentData, 0)), (found) => {
    if (found === undefined) throw corrupt(what, undefined, "a symlink without a target");
    const item = parseFileExtent(found.data, 0, sectorBytes, what);
    if (item.kind !== "inline") throw corrupt(what, undefined, "a symlink whose target is not inline");
    const bytes = readInline(item, sectorBytes).subarray(0, inode.size);
    const end = bytes.indexOf(0);
    return end < 0 ? bytes : bytes.subarray(0, end);
  });
}
