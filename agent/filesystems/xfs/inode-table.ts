import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { cacheBlockBytes } from "../../blocks/cached.ts";
import { corrupt, toDiskError, type DiskError } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { asBuffer } from "../byte-string.ts";
import type { Attributes } from "../filesystem.ts";
import { NodeCache } from "../node-cache.ts";
import { findInodeOffset } from "./addresses.ts";
import { findInodeError, parseAttributes, parseInode, type Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

/** Parsed inodes kept. */
const cachedInodes = 1024;
/** Reads under way at once; each lies within one block of the cache, so it is neither copied there nor put together. */
const readsInFlight = 16;

/** Inodes by number, one at a time or many at once. XFS has no inode table: the number is the address. */
export class InodeTable {
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #contentErrors: ReadonlyMap<number, DiskError>;
  readonly #parsed = new NodeCache<Inode>(cachedInodes);

  /** @param contentErrors by inode: why the log left its contents unknown */
  constructor(source: BlockSource, superblock: Superblock, contentErrors: ReadonlyMap<number, DiskError>) {
    this.#source = source;
    this.#superblock = superblock;
    this.#contentErrors = contentErrors;
  }

  /** An inode that a directory may name; throws "corrupt" for one that is damaged or free. */
  get(number: number): MaybePromise<Inode> {
    return this.#parsed.get(number) ?? this.#read(number);
  }

  #read(number: number): MaybePromise<Inode> {
    const offsetBytes = findInodeOffset(this.#superblock, number);
    if (offsetBytes === undefined) throw noPlace(number);
    return chain(this.#source.read(offsetBytes, this.#superblock.inodeSizeBytes), (bytes) => {
      // A copy: a view would hold the whole cached block as long as the inode lives.
      const own = Buffer.from(bytes);
      const found = findInodeError(this.#superblock, number, own, 0, offsetBytes);
      if (found !== undefined) throw found;
      const inode = parseInode(this.#superblock, number, own, offsetBytes);
      this.#parsed.set(number, inode);
      return inode;
    });
  }

  /** Attributes of many inodes, in the order asked: chunks are read in runs, in the disk's order. */
  async stat(numbers: readonly number[]): Promise<(Attributes | DiskError)[]> {
    const results = new Array<Attributes | DiskError>(numbers.length);
    const offsets = new Float64Array(numbers.length);
    const order = new Uint32Array(numbers.length);
    let valid = 0;
    let ascending = true;
    for (let position = 0; position < numbers.length; position++) {
      const offset = findInodeOffset(this.#superblock, numbers[position]!);
      if (offset === undefined) {
        results[position] = noPlace(numbers[position]!);
        continue;
      }
      offsets[position] = offset;
      if (valid > 0 && offset < offsets[order[valid - 1]!]!) ascending = false;
      order[valid++] = position;
    }
    const sorted = order.subarray(0, valid);
    if (!ascending) sorted.sort((a, b) => offsets[a]! - offsets[b]!);

    const runs = this.#toRuns(sorted, offsets);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < runs.length) await this.#statRun(runs[next++]!, numbers, offsets, results);
    };
    await Promise.all(Array.from({ length: Math.min(readsInFlight, runs.length) }, worker));
    return results;
  }

  /** Positions of neighbouring inodes together. */
  #toRuns(sorted: Uint32Array, offsets: Float64Array): Uint32Array[] {
    const size = this.#superblock.inodeSizeBytes;
    const runs: Uint32Array[] = [];
    for (let i = 0; i < sorted.length; ) {
      const first = i;
      const blockEnd = (Math.floor(offsets[sorted[first]!]! / cacheBlockBytes) + 1) * cacheBlockBytes;
      for (i++; i < sorted.length; i++) {
        if (offsets[sorted[i]!]! + size > blockEnd) break;
      }
      runs.push(sorted.subarray(first, i));
    }
    return runs;
  }

  async #statRun(run: Uint32Array, numbers: readonly number[], offsets: Float64Array, results: (Attributes | DiskError)[]): Promise<void> {
    const size = this.#superblock.inodeSizeBytes;
    const start = offsets[run[0]!]!;
    const length = offsets[run[run.length - 1]!]! + size - start;
    let bytes: Buffer;
    try {
      const read = this.#source.read(start, length);
      bytes = asBuffer(read instanceof Promise ? await read : read);
    } catch (error) {
      if (length === size) {
        for (const position of run) results[position] = toDiskError(error);
        return;
      }
      // One bad sector must not take its neighbours along: each inode on its own.
      for (let i = 0; i < run.length; i++) await this.#statRun(run.subarray(i, i + 1), numbers, offsets, results);
      return;
    }
    for (const position of run) {
      results[position] = this.#attributes(numbers[position]!, bytes, offsets[position]! - start, offsets[position]!);
    }
  }

  #attributes(number: number, data: Buffer, at: number, offsetBytes: number): Attributes | DiskError {
    const error = findInodeError(this.#superblock, number, data, at, offsetBytes);
    if (error !== undefined) return error;
    const attributes = parseAttributes(number, data, at);
    const contentError = this.#contentErrors.get(number);
    return contentError === undefined ? attributes : { ...attributes, contentError };
  }
}

function noPlace(number: number): DiskError {
  return corrupt(`XFS inode ${number}`, undefined, "the volume has no place for that number");
}
