import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt, type DiskError } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { asBuffer } from "../byte-string.ts";
import { NodeCache } from "../node-cache.ts";
import { findBlockOffset } from "./addresses.ts";
import { extentTreeHeader, findHeaderError } from "./block-header.ts";
import { pushRun, remap, type BlockRun, type RemappedRun } from "./block-runs.ts";
import { extentRecordBytes, hole, parseExtentRecords, type ExtentList } from "./extent-record.ts";
import { isLeaf, parseTreeBlock, parseTreeRoot, type ExtentTreeNode } from "./extent-tree-node.ts";
import { forkFormats, type Fork, type Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

/** Bytes of tree blocks kept in parsed form: enough to walk several fragmented files at once. */
const cachedNodeBytes = 4 * 1024 * 1024;

/** Reaches what forks hold in blocks, through extent lists and trees. */
export class Contents {
  readonly source: BlockSource;
  readonly superblock: Superblock;
  readonly #nodes: NodeCache<ExtentTreeNode>;
  readonly #remapped: ReadonlyMap<number, readonly RemappedRun[]>;
  readonly #replayed: ReadonlyMap<number, unknown>;

  /**
   * @param remapped by inode: what the log left to be mapped in data forks, in order
   * @param replayed by block index: blocks that the log changed
   */
  constructor(
    source: BlockSource, superblock: Superblock, remapped: ReadonlyMap<number, readonly RemappedRun[]>, replayed: ReadonlyMap<number, unknown>,
  ) {
    this.#replayed = replayed;
    this.source = source;
    this.superblock = superblock;
    this.#nodes = new NodeCache(cachedNodeBytes / superblock.blockSizeBytes);
    this.#remapped = remapped;
  }

  /**
   * Where the logical blocks [first, end) of a fork lie: runs in order and without gaps from `first` on, at least
   * one block, possibly fewer than asked. Blocks never mapped, or never written, come as holes.
   */
  map(inode: Inode, fork: Fork, first: number, end: number): MaybePromise<BlockRun[]> {
    const stored = this.#mapStored(inode, fork, first, end);
    const changes = fork === inode.data ? this.#remapped.get(inode.number) : undefined;
    return changes === undefined ? stored : chain(stored, (runs) => remap(runs, changes, this.superblock.blockSizeBytes));
  }

  /** Whether the log changed the block there. */
  isReplayed(offsetBytes: number): boolean {
    return this.#replayed.has(Math.floor(offsetBytes / this.superblock.blockSizeBytes));
  }

  #mapStored(inode: Inode, fork: Fork, first: number, end: number): MaybePromise<BlockRun[]> {
    const fail = (found: string) => corrupt(`XFS inode ${inode.number} ${forkName(inode, fork)} fork`, inode.offsetBytes, found);
    if (fork.format === forkFormats.extents) {
      if (fork.extentCount * extentRecordBytes > fork.bytes.length) throw fail(`${fork.extentCount} extents, more than fit`);
      const list = parseExtentRecords(fork.bytes, 0, fork.extentCount);
      if (typeof list === "string") throw fail(list);
      return this.#mapInList(list, first, end, fail);
    }
    if (fork.format !== forkFormats.btree) throw fail(`format ${fork.format}, expected extents or a tree`);
    const root = parseTreeRoot(fork.bytes);
    if (typeof root === "string") throw fail(root);
    return this.#descend(inode, root, first, end, fail);
  }

  /** @param bound the logical block where the node's own range ends, or the request does */
  #descend(inode: Inode, node: ExtentTreeNode, first: number, bound: number, fail: (found: string) => DiskError): MaybePromise<BlockRun[]> {
    if (isLeaf(node)) return this.#mapInList(node, first, bound, fail);
    const index = lastAtOrBefore(node.logical, first);
    // Nothing before the first subtree is mapped.
    if (index < 0) return [{ logical: first, count: Math.min(bound, node.logical[0]!) - first, offsetBytes: hole }];
    const next = index + 1 < node.logical.length ? node.logical[index + 1]! : Infinity;
    return chain(this.#readNode(inode, node.child[index]!, node.level - 1, fail), (below) => this.#descend(inode, below, first, Math.min(bound, next), fail));
  }

  /** The recursion above ends: every level is one less, and the root at most maxTreeLevels. */
  #readNode(inode: Inode, block: number, level: number, fail: (found: string) => DiskError): MaybePromise<ExtentTreeNode> {
    const known = this.#nodes.get(block);
    if (known !== undefined && known.level === level) return known;
    const { superblock } = this;
    const offsetBytes = findBlockOffset(superblock, block, 1);
    if (offsetBytes === undefined) throw fail(`points to block ${block}, outside the volume`);
    return chain(this.source.read(offsetBytes, superblock.blockSizeBytes), (bytes) => {
      const data = asBuffer(bytes);
      const structure = `XFS extent tree block of inode ${inode.number}`;
      if (superblock.version === 5) {
        // The owner is left aside: defragmenting swaps trees between files.
        const found = findHeaderError(superblock, structure, data, extentTreeHeader, offsetBytes, undefined);
        if (found !== undefined) throw found;
      }
      const node = parseTreeBlock(superblock, data, level);
      if (typeof node === "string") throw corrupt(structure, offsetBytes, node);
      this.#nodes.set(block, node);
      return node;
    });
  }

  #mapInList(list: ExtentList, first: number, end: number, fail: (found: string) => DiskError): BlockRun[] {
    const { superblock } = this;
    const size = superblock.blockSizeBytes;
    const runs: BlockRun[] = [];
    let position = first;
    for (let i = Math.max(0, lastAtOrBefore(list.logical, first)); position < end && i < list.logical.length; i++) {
      const logical = list.logical[i]!;
      const extentEnd = logical + list.count[i]!;
      if (extentEnd <= position) continue;
      if (logical > position) {
        const until = Math.min(logical, end);
        pushRun(runs, { logical: position, count: until - position, offsetBytes: hole }, size);
        position = until;
        if (position === end) break;
      }
      const until = Math.min(extentEnd, end);
      let offsetBytes = hole;
      const physical = list.physical[i]!;
      if (physical !== hole) {
        const start = findBlockOffset(superblock, physical, list.count[i]!);
        if (start === undefined) throw fail(`extent ${i} lies at block ${physical}, ${list.count[i]} blocks, outside the volume or across groups`);
        offsetBytes = start + (position - logical) * size;
      }
      pushRun(runs, { logical: position, count: until - position, offsetBytes }, size);
      position = until;
    }
    if (position < end) pushRun(runs, { logical: position, count: end - position, offsetBytes: hole }, size);
    return runs;
  }

  /** Blocks [first, first + count) of a fork as one buffer; a hole among them is "corrupt". */
  readBlocks(inode: Inode, fork: Fork, first: number, count: number): MaybePromise<Buffer> {
    return chain(this.mapWhole(inode, fork, first, count), (runs) => {
      const size = this.superblock.blockSizeBytes;
      const [only] = runs;
      if (runs.length === 1 && only !== undefined) return chain(this.source.read(only.offsetBytes, count * size), asBuffer);
      const pieces = runs.map((run) => this.source.read(run.offsetBytes, run.count * size));
      return Promise.all(pieces).then((ready) => Buffer.concat(ready));
    });
  }

  /** The runs of all blocks [first, first + count); a hole among them is "corrupt". */
  mapWhole(inode: Inode, fork: Fork, first: number, count: number): MaybePromise<BlockRun[]> {
    const all: BlockRun[] = [];
    const from = (position: number): MaybePromise<BlockRun[]> => {
      // Every turn covers one block at least, and callers ask for few.
      if (position >= first + count) return all;
      return chain(this.map(inode, fork, position, first + count), (runs) => {
        for (const run of runs) {
          if (run.offsetBytes === hole) throw corrupt(`XFS inode ${inode.number} ${forkName(inode, fork)} fork`, inode.offsetBytes, `no block for its block ${run.logical}`);
          all.push(run);
        }
        const last = runs.at(-1)!;
        return from(last.logical + last.count);
      });
    };
    return from(first);
  }
}

function forkName(inode: Inode, fork: Fork): string {
  return fork === inode.data ? "data" : "attribute";
}

/** Index of the last element that is at most `value`, or -1; `sorted` ascends. */
function lastAtOrBefore(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
