// The block map of ext2 and ext3: 15 little-endian block numbers in the inode, 0 for a hole. Twelve
// are data blocks; the others point to a block of numbers, of such blocks, of blocks of such blocks.
// Source: Linux Documentation/filesystems/ext4/blockmap.rst.
import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { asBuffer } from "../byte-string.ts";
import { hole, pushRun, type BlockRun } from "./block-runs.ts";
import { isValidBlockRange } from "./extent-node.ts";
import { iBlockOffset, type Inode } from "./inode.ts";
import { NodeCache } from "../node-cache.ts";
import type { Superblock } from "./superblock.ts";

const directBlocks = 12;
const levels = 3;

/** Bytes of indirect blocks kept. */
const cachedBlockBytes = 4 * 1024 * 1024;

/** Maps logical blocks through the block maps of one filesystem. */
export class BlockMaps {
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #blocks: NodeCache<Uint32Array>;

  constructor(source: BlockSource, superblock: Superblock) {
    this.#source = source;
    this.#superblock = superblock;
    this.#blocks = new NodeCache(cachedBlockBytes / superblock.blockSizeBytes);
  }

  /** Runs that cover [first, end) from `first` on, at most up to the end of the lowest block of numbers reached. */
  map(inode: Inode, first: number, end: number): MaybePromise<BlockRun[]> {
    if (first < directBlocks) {
      const numbers = new Uint32Array(directBlocks);
      for (let i = 0; i < directBlocks; i++) numbers[i] = inode.bytes.readUInt32LE(iBlockOffset + i * 4);
      return this.#runs(inode, numbers, first, first, Math.min(end, directBlocks));
    }
    const perBlock = this.#superblock.blockSizeBytes / 4;
    let base = directBlocks;
    let span = perBlock;
    for (let level = 1; level <= levels; level++, base += span, span *= perBlock) {
      if (first < base + span) {
        const root = inode.bytes.readUInt32LE(iBlockOffset + (directBlocks + level - 1) * 4);
        return this.#descend(inode, root, level, first - base, first, end, base + span - first);
      }
    }
    // Past what a map can reach there is nothing.
    return [{ logical: first, count: end - first, physical: hole }];
  }

  /**
   * @param within the block sought, counted from the start of what `block` covers
   * @param left how many blocks `block` covers from there on
   */
  #descend(
    inode: Inode, block: number, level: number, within: number, first: number, end: number, left: number,
  ): MaybePromise<BlockRun[]> {
    if (block === 0) return [{ logical: first, count: Math.min(end - first, left), physical: hole }];
    this.#assertValid(inode, block);
    return chain(this.#read(block), (numbers) => {
      if (level === 1) return this.#runs(inode, numbers, within, first, Math.min(end, first + numbers.length - within));
      const span = numbers.length ** (level - 1);
      const index = Math.floor(within / span);
      const below = within - index * span;
      return this.#descend(inode, numbers[index]!, level - 1, below, first, end, span - below);
    });
  }

  #runs(inode: Inode, numbers: Uint32Array, from: number, first: number, end: number): BlockRun[] {
    const runs: BlockRun[] = [];
    for (let logical = first, i = from; logical < end; logical++, i++) {
      const block = numbers[i]!;
      if (block !== 0 && !isValidBlockRange(this.#superblock, block, 1)) {
        // What comes before the bad number can be read; asked again from there, the error comes.
        if (runs.length > 0) return runs;
        this.#assertValid(inode, block);
      }
      pushRun(runs, logical, 1, block === 0 ? hole : block);
    }
    return runs;
  }

  #assertValid(inode: Inode, block: number): void {
    if (isValidBlockRange(this.#superblock, block, 1)) return;
    const found = `block number ${block}, outside the filesystem of ${this.#superblock.blockCount} blocks`;
    throw corrupt(`ext4 inode ${inode.number} block map`, inode.offsetBytes + iBlockOffset, found);
  }

  #read(block: number): MaybePromise<Uint32Array> {
    const cached = this.#blocks.get(block);
    if (cached !== undefined) return cached;
    const size = this.#superblock.blockSizeBytes;
    return chain(this.#source.read(block * size, size), (bytes) => {
      const data = asBuffer(bytes);
      const numbers = new Uint32Array(size / 4);
      for (let i = 0; i < numbers.length; i++) numbers[i] = data.readUInt32LE(i * 4);
      this.#blocks.set(block, numbers);
      return numbers;
    });
  }
}
