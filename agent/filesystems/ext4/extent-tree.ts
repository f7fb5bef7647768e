import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { asBuffer } from "../byte-string.ts";
import { hole, pushRun, type BlockRun } from "./block-runs.ts";
import {
  checkExtentNode, checkExtentRoot, extentTailOffset, isLeaf, parseExtentNode, type ExtentLeaf, type ExtentNode,
} from "./extent-node.ts";
import { iBlockOffset, type Inode } from "./inode.ts";
import { NodeCache } from "../node-cache.ts";
import type { Superblock } from "./superblock.ts";

/** Logical block numbers are 32 bits. */
const endOfLogicalBlocks = 2 ** 32;

/** Bytes of nodes kept in parsed form: enough to walk several fragmented files at once. */
const cachedNodeBytes = 4 * 1024 * 1024;

/** Maps logical blocks through the extent trees of one filesystem. */
export class ExtentTrees {
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #nodes: NodeCache<ExtentNode>;

  constructor(source: BlockSource, superblock: Superblock) {
    this.#source = source;
    this.#superblock = superblock;
    this.#nodes = new NodeCache(cachedNodeBytes / superblock.blockSizeBytes);
  }

  /** Runs that cover [first, end) from `first` on, at most up to the end of the leaf reached. */
  map(inode: Inode, first: number, end: number): MaybePromise<BlockRun[]> {
    const found = checkExtentRoot(inode.bytes, iBlockOffset, this.#superblock);
    if (found !== undefined) throw corrupt(`ext4 inode ${inode.number} extent tree root`, inode.offsetBytes + iBlockOffset, found);
    return this.#descend(inode, parseExtentNode(inode.bytes, iBlockOffset), first, Math.min(end, endOfLogicalBlocks), end);
  }

  /** @param bound the logical block where the node's own range ends, or the request does */
  #descend(inode: Inode, node: ExtentNode, first: number, bound: number, end: number): MaybePromise<BlockRun[]> {
    if (isLeaf(node)) return mapInLeaf(node, first, bound === Math.min(end, endOfLogicalBlocks) ? end : bound);
    let index = lastAtOrBefore(node.logical, first);
    if (index < 0) {
      // Nothing before the first subtree is mapped.
      return [{ logical: first, count: Math.min(bound, node.logical[0]!) - first, physical: hole }];
    }
    const next = index + 1 < node.logical.length ? node.logical[index + 1]! : endOfLogicalBlocks;
    const child = this.#read(inode, node.child[index]!, node.depth - 1);
    return chain(child, (below) => this.#descend(inode, below, first, Math.min(bound, next), end));
  }

  /** Recursion ends: every level is one less deep, and the root at most maxExtentDepth. */
  #read(inode: Inode, block: number, depth: number): MaybePromise<ExtentNode> {
    const cached = this.#nodes.get(block);
    if (cached !== undefined && cached.depth === depth) return cached;
    const { blockSizeBytes, metadataChecksums } = this.#superblock;
    return chain(this.#source.read(block * blockSizeBytes, blockSizeBytes), (bytes) => {
      const data = asBuffer(bytes);
      const fail = (what: string) => corrupt(`ext4 inode ${inode.number} extent tree node`, block * blockSizeBytes, what);
      const found = checkExtentNode(data, 0, blockSizeBytes, this.#superblock);
      if (found !== undefined) throw fail(found);
      const actualDepth = data.readUInt16LE(6);
      if (actualDepth !== depth) throw fail(`eh_depth ${actualDepth}, expected ${depth}`);
      if (metadataChecksums) {
        const tail = extentTailOffset(data);
        const stored = data.readUInt32LE(tail);
        const expected = crc32cUpdate(inode.checksumSeed, data, 0, tail);
        if (stored !== expected) throw fail(`checksum 0x${stored.toString(16)}, expected 0x${expected.toString(16)}`);
      }
      const node = parseExtentNode(data);
      this.#nodes.set(block, node);
      return node;
    });
  }
}

export function mapInLeaf(leaf: Pick<ExtentLeaf, "logical" | "length" | "physical">, first: number, end: number): BlockRun[] {
  const runs: BlockRun[] = [];
  let position = first;
  for (let i = Math.max(0, lastAtOrBefore(leaf.logical, first)); position < end && i < leaf.logical.length; i++) {
    const logical = leaf.logical[i]!;
    const extentEnd = logical + leaf.length[i]!;
    if (extentEnd <= position) continue;
    if (logical > position) {
      const until = Math.min(logical, end);
      pushRun(runs, position, until - position, hole);
      position = until;
      if (position === end) break;
    }
    const until = Math.min(extentEnd, end);
    const physical = leaf.physical[i]!;
    pushRun(runs, position, until - position, physical === hole ? hole : physical + (position - logical));
    position = until;
  }
  if (position < end) pushRun(runs, position, end - position, hole);
  return runs;
}

/** Index of the last element that is at most `value`, or -1; `sorted` ascends. */
function lastAtOrBefore(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
