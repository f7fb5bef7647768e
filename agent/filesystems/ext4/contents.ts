import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { BlockMaps } from "./block-map.ts";
import { hole, type BlockRun } from "./block-runs.ts";
import type { FastCommitChanges } from "./fast-commit-changes.ts";
import { ExtentTrees, mapInLeaf } from "./extent-tree.ts";
import { inodeFlags, type Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

/** Reaches what files hold in blocks: by extent tree, by block map, or by what a fast commit left. */
export class Contents {
  readonly source: BlockSource;
  readonly superblock: Superblock;
  readonly #changes: FastCommitChanges;
  readonly #extents: ExtentTrees;
  readonly #maps: BlockMaps;

  constructor(source: BlockSource, superblock: Superblock, changes: FastCommitChanges) {
    this.source = source;
    this.superblock = superblock;
    this.#changes = changes;
    this.#extents = new ExtentTrees(source, superblock);
    this.#maps = new BlockMaps(source, superblock);
  }

  /**
   * Where the logical blocks [first, end) lie: runs in order and without gaps from `first` on, at
   * least one block, possibly fewer than asked. Blocks never mapped come as holes.
   */
  map(inode: Inode, first: number, end: number): MaybePromise<BlockRun[]> {
    const changed = this.#changes.extents.get(inode.number);
    if (changed !== undefined) return mapInLeaf(changed, first, end);
    if ((inode.flags & inodeFlags.extents) !== 0) return this.#extents.map(inode, first, end);
    return this.#maps.map(inode, first, end);
  }

  /**
   * All runs of [first, end).
   * @param maxRuns a bound that the caller can justify; more are "corrupt"
   */
  async mapAll(inode: Inode, first: number, end: number, maxRuns: number): Promise<BlockRun[]> {
    const all: BlockRun[] = [];
    for (let position = first; position < end; ) {
      const mapped = this.map(inode, position, end);
      const runs = mapped instanceof Promise ? await mapped : mapped;
      for (const run of runs) all.push(run);
      const last = runs.at(-1)!;
      position = last.logical + last.count;
      if (all.length > maxRuns) throw corrupt(`ext4 inode ${inode.number}`, inode.offsetBytes, `more than ${maxRuns} extents`);
    }
    return all;
  }

  /** The first `length` bytes of contents in blocks; for small things, a link target or an attribute's value. */
  readStart(inode: Inode, length: number): MaybePromise<Buffer> {
    const size = this.superblock.blockSizeBytes;
    const target = Buffer.alloc(length);
    const readFrom = (position: number): MaybePromise<Buffer> => {
      if (position * size >= length) return target;
      return chain(this.map(inode, position, Math.ceil(length / size)), (runs) => {
        const run = runs[0]!;
        const start = run.logical * size;
        const bytes = Math.min(run.count * size, length - start);
        if (run.physical === hole) return readFrom(position + run.count);
        return chain(this.source.read(run.physical * size, bytes), (data) => {
          target.set(data, start);
          return readFrom(position + run.count);
        });
      });
    };
    return readFrom(0);
  }
}
