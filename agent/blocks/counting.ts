import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";

/** A source that keeps count of what passes through it; failed reads count too. */
export interface CountingSource extends BlockSource {
  /** Calls of `read` and `readInto`. */
  readonly reads: number;
  /** Bytes those calls asked for. */
  readonly bytesRead: number;
  readonly extentCalls: number;
  reset(): void;
}

/** For tests that hold a reader to a ceiling of reads. */
export function counting(source: BlockSource): CountingSource {
  return new Counting(source);
}

class Counting implements CountingSource {
  reads = 0;
  bytesRead = 0;
  extentCalls = 0;
  readonly #source: BlockSource;

  constructor(source: BlockSource) {
    this.#source = source;
  }

  get sizeBytes(): number {
    return this.#source.sizeBytes;
  }

  reset(): void {
    this.reads = 0;
    this.bytesRead = 0;
    this.extentCalls = 0;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    this.reads += 1;
    this.bytesRead += length;
    return this.#source.read(offset, length);
  }

  readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.reads += 1;
    this.bytesRead += target.length;
    return this.#source.readInto(offset, target, signal);
  }

  extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    this.extentCalls += 1;
    return this.#source.extents(offset, length, signal);
  }
}
