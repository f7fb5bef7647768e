import { LRUCache } from "lru-cache";
import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";
import { assertRange } from "./range.ts";

export interface CacheOptions {
  /** Bytes fetched and kept together; default cacheBlockBytes. */
  readonly blockSizeBytes?: number;
  /** Bytes kept at most; at least one block is. Default 32 MiB. */
  readonly capacityBytes?: number;
}

/** A read that lies within one such block of the disk costs no copy: what is returned is a view of what is kept. */
export const cacheBlockBytes = 65_536;
const DEFAULT_CAPACITY_BYTES = 32 * 1024 * 1024;

/**
 * A least-recently-used cache of whole blocks over a source.
 *
 * `read` answers at once when every block it touches is cached, fetches neighbouring missing blocks
 * with one request, and never fetches a block twice at a time. What it returns may be a view of a
 * cached block: don't modify it, and copy what is kept for long, or it holds the whole block in memory.
 * Reads too large to be worth keeping go straight to the source. Failures are never kept.
 */
export function cached(source: BlockSource, options: CacheOptions = {}): BlockSource {
  return new Cached(source, options);
}

/** Blocks [first, end) not yet at hand, fetched with one request. */
interface MissingRun {
  readonly first: number;
  end: number;
}

class Cached implements BlockSource {
  readonly sizeBytes: number;
  readonly #source: BlockSource;
  readonly #blockSize: number;
  readonly #largeReadBytes: number;
  readonly #blocks: LRUCache<number, Uint8Array>;
  readonly #pending = new Map<number, Promise<Uint8Array>>();

  // Metadata reads come in clusters: the last block again answers without touching the LRU lists.
  #lastIndex = -1;
  #lastBlock: Uint8Array = new Uint8Array(0);

  constructor(source: BlockSource, options: CacheOptions) {
    const { blockSizeBytes = cacheBlockBytes, capacityBytes = DEFAULT_CAPACITY_BYTES } = options;
    if (!Number.isSafeInteger(blockSizeBytes) || blockSizeBytes < 512) {
      throw new RangeError(`blockSizeBytes is ${blockSizeBytes}, expected an integer of 512 or more`);
    }
    this.#source = source;
    this.sizeBytes = source.sizeBytes;
    this.#blockSize = blockSizeBytes;
    const capacityBlocks = Math.max(1, Math.floor(capacityBytes / blockSizeBytes));
    this.#blocks = new LRUCache({ max: capacityBlocks });
    // One read may not sweep out more than a quarter of the cache.
    this.#largeReadBytes = Math.max(blockSizeBytes, Math.floor((capacityBlocks * blockSizeBytes) / 4));
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    const index = Math.floor(offset / this.#blockSize);
    const within = offset - index * this.#blockSize;
    if (within + length <= this.#blockSize) {
      const block = this.#cachedBlock(index);
      if (block !== undefined) return block.subarray(within, within + length);
    }
    if (length === 0) return new Uint8Array(0);
    if (length > this.#largeReadBytes) return this.#source.read(offset, length);
    return this.#readBlocks(offset, length);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    signal?.throwIfAborted();
    // From one block up, keeping the bytes costs more than it can save: contents are read once.
    if (target.length >= this.#blockSize) return this.#source.readInto(offset, target, signal);
    const bytes = this.read(offset, target.length);
    // Others may wait for the same block, so an abort leaves this caller, not the fetch.
    target.set(bytes instanceof Promise ? await orAborted(bytes, signal) : bytes);
  }

  extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    return this.#source.extents(offset, length, signal);
  }

  #cachedBlock(index: number): Uint8Array | undefined {
    if (index === this.#lastIndex) return this.#lastBlock;
    const block = this.#blocks.get(index);
    if (block !== undefined) {
      this.#lastIndex = index;
      this.#lastBlock = block;
    }
    return block;
  }

  /** A read that spans blocks, or misses; still synchronous when every block is there. */
  #readBlocks(offset: number, length: number): MaybePromise<Uint8Array> {
    const first = Math.floor(offset / this.#blockSize);
    const end = Math.floor((offset + length - 1) / this.#blockSize) + 1;
    const blocks: MaybePromise<Uint8Array>[] = [];
    const runs: MissingRun[] = [];
    for (let index = first; index < end; index += 1) {
      const block = this.#blocks.get(index) ?? this.#pending.get(index);
      if (block !== undefined) blocks.push(block);
      else {
        blocks.push(NOT_YET);
        const run = runs.at(-1);
        if (run !== undefined && run.end === index) run.end += 1;
        else runs.push({ first: index, end: index + 1 });
      }
    }
    for (const run of runs) {
      this.#fetch(run).forEach((block, position) => (blocks[run.first - first + position] = block));
    }
    const within = offset - first * this.#blockSize;
    if (blocks.some((block) => block instanceof Promise)) {
      return Promise.all(blocks).then((ready) => join(ready, within, length));
    }
    return join(blocks as Uint8Array[], within, length);
  }

  /** Starts one request for a run of blocks and registers each of them as pending. */
  #fetch(run: MissingRun): MaybePromise<Uint8Array>[] {
    const start = run.first * this.#blockSize;
    const bytes = this.#source.read(start, Math.min(run.end * this.#blockSize, this.sizeBytes) - start);
    const blocks: MaybePromise<Uint8Array>[] = [];
    for (let index = run.first; index < run.end; index += 1) {
      if (!(bytes instanceof Promise)) {
        blocks.push(this.#keep(index, run, bytes));
        continue;
      }
      const block = bytes.then((whole) => this.#keep(index, run, whole)).finally(() => this.#pending.delete(index));
      // Every waiter sees a failure through the block it waits for; without one it is nobody's.
      block.catch(() => undefined);
      this.#pending.set(index, block);
      blocks.push(block);
    }
    return blocks;
  }

  #keep(index: number, run: MissingRun, bytes: Uint8Array): Uint8Array {
    const start = (index - run.first) * this.#blockSize;
    const view = bytes.subarray(start, start + this.#blockSize);
    // A view into a larger buffer would hold all of it for as long as this one block lives.
    const block = view.byteLength === view.buffer.byteLength ? view : new Uint8Array(view);
    this.#blocks.set(index, block);
    return block;
  }
}

const NOT_YET = new Uint8Array(0);

/** `length` bytes from position `within` of the first block on; a view when one block holds them all. */
function join(blocks: Uint8Array[], within: number, length: number): Uint8Array {
  const [first] = blocks;
  if (first !== undefined && blocks.length === 1) return first.subarray(within, within + length);
  const joined = new Uint8Array(length);
  let filled = 0;
  for (const block of blocks) {
    const from = filled === 0 ? within : 0;
    const part = block.subarray(from, from + length - filled);
    joined.set(part, filled);
    filled += part.length;
  }
  return joined;
}

/** The promise's outcome, or the signal's reason if that comes first. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
