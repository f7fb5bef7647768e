import type { BlockSource } from "../../../blocks/block-source.ts";
import { corrupt } from "../../../blocks/disk-error.ts";
import { hole, type BlockRun } from "../block-runs.ts";

/** Read at once: descriptors lie among the blocks they describe. */
const windowBytes = 256 * 1024;

/** Blocks of the journal by their number in it, read through a window that slides over the disk. */
export class LogReader {
  readonly blockSizeBytes: number;
  readonly #source: BlockSource;
  readonly #runs: readonly BlockRun[];
  readonly #window: Buffer;
  #windowStart = 0;
  #windowEnd = 0;

  /** @param runs where the journal's blocks lie, from 0 on without gaps */
  constructor(source: BlockSource, runs: readonly BlockRun[], blockSizeBytes: number) {
    this.#source = source;
    this.#runs = runs;
    this.blockSizeBytes = blockSizeBytes;
    this.#window = Buffer.allocUnsafeSlow(Math.max(windowBytes, blockSizeBytes));
  }

  /** One block, valid until the next call. */
  async read(block: number): Promise<Buffer> {
    const size = this.blockSizeBytes;
    if (block < this.#windowStart || block >= this.#windowEnd) {
      const run = this.#runOf(block);
      const count = Math.min(this.#window.length / size, run.logical + run.count - block);
      this.#windowEnd = 0;
      await this.#source.readInto((run.physical + block - run.logical) * size, this.#window.subarray(0, count * size));
      this.#windowStart = block;
      this.#windowEnd = block + count;
    }
    const at = (block - this.#windowStart) * size;
    return this.#window.subarray(at, at + size);
  }

  /** Where a block lies in the source. */
  offsetOf(block: number): number {
    const run = this.#runOf(block);
    return (run.physical + block - run.logical) * this.blockSizeBytes;
  }

  #runOf(block: number): BlockRun {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[middle]!.logical <= block) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low - 1];
    if (run === undefined || block >= run.logical + run.count || run.physical === hole) {
      throw corrupt("jbd2 journal", undefined, `its block ${block} lies nowhere on the disk`);
    }
    return run;
  }
}
