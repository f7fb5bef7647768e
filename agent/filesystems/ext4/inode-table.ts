import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { cacheBlockBytes } from "../../blocks/cached.ts";
import { DiskError, corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { asBuffer } from "../byte-string.ts";
import type { Attributes } from "../filesystem.ts";
import type { FastCommitChanges } from "./fast-commit-changes.ts";
import type { GroupDescriptors } from "./group-descriptors.ts";
import { findInodeError, findModeError, inodeFlags, parseAttributes, parseInode, type Inode } from "./inode.ts";
import { readInlineContents } from "./inline-data.ts";
import { NodeCache } from "../node-cache.ts";
import type { Superblock } from "./superblock.ts";

const rootInode = 2;

/** Parsed inodes kept. */
const cachedInodes = 1024;
/** Reads under way at once; each lies within one block of the cache, so it is neither copied there nor put together. */
const readsInFlight = 16;
/** Keeps `inode * count + position` a safe integer. */
const maxBatch = 2 ** 20;

/** Inodes by number, one at a time or many at once. */
export class InodeTable {
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #groups: GroupDescriptors;
  readonly #changes: FastCommitChanges;
  readonly #parsed = new NodeCache<Inode>(cachedInodes);

  constructor(source: BlockSource, superblock: Superblock, groups: GroupDescriptors, changes: FastCommitChanges) {
    this.#source = source;
    this.#superblock = superblock;
    this.#groups = groups;
    this.#changes = changes;
  }

  /** An inode that a directory may name; throws "corrupt" for one that is damaged, deleted or reserved. */
  get(number: number): MaybePromise<Inode> {
    const illegal = this.#findNumberError(number);
    if (illegal !== undefined) throw illegal;
    return this.#parsed.get(number) ?? this.#read(number);
  }

  /** Also one of the filesystem's own inodes: the journal, the value of an attribute. */
  getSystem(number: number): MaybePromise<Inode> {
    if (number < 1 || number > this.#superblock.inodeCount) throw this.#outOfRange(number);
    return this.#parsed.get(number) ?? this.#read(number);
  }

  #read(number: number): MaybePromise<Inode> {
    return chain(this.readRaw(number), ({ bytes, offsetBytes, changed }) => {
      const found = changed ? findModeError(number, bytes, 0, offsetBytes) : findInodeError(this.#superblock, number, bytes, 0, offsetBytes);
      if (found !== undefined) throw found;
      const inode = parseInode(this.#superblock, number, bytes, offsetBytes);
      this.#parsed.set(number, inode);
      return inode;
    });
  }

  /** A copy of the inode's bytes, unchecked. `number` lies within the filesystem. */
  readRaw(number: number): MaybePromise<{ bytes: Buffer; offsetBytes: number; changed: boolean }> {
    const size = this.#superblock.inodeSizeBytes;
    return chain(this.#locate(number), (offsetBytes) => {
      const changed = this.#changes.inodes.get(number);
      if (changed !== undefined) return { bytes: changed, offsetBytes, changed: true };
      return chain(this.#source.read(offsetBytes, size), (bytes) => ({ bytes: Buffer.from(bytes), offsetBytes, changed: false }));
    });
  }

  /** Drops what was parsed, after a change. */
  forget(): void {
    this.#parsed.clear();
  }

  #locate(number: number): MaybePromise<number> {
    const { inodesPerGroup, inodeSizeBytes, blockSizeBytes } = this.#superblock;
    const group = Math.floor((number - 1) / inodesPerGroup);
    const index = (number - 1) % inodesPerGroup;
    return chain(this.#groups.get(group), (descriptor) => descriptor.inodeTableBlock * blockSizeBytes + index * inodeSizeBytes);
  }

  #findNumberError(number: number): DiskError | undefined {
    if (number === rootInode) return undefined;
    const { firstInode, inodeCount, systemInodes } = this.#superblock;
    if (number < 1 || number > inodeCount) return this.#outOfRange(number);
    if (number < firstInode || systemInodes.includes(number)) {
      return corrupt(`ext4 inode ${number}`, undefined, "a directory names an inode of the filesystem itself");
    }
    return undefined;
  }

  #outOfRange(number: number): DiskError {
    return corrupt(`ext4 inode ${number}`, undefined, `the filesystem has inodes 1 to ${this.#superblock.inodeCount}`);
  }

  /** Attributes of many inodes, in the order asked: the inode table is read in runs, in its own order. */
  async stat(numbers: readonly number[]): Promise<(Attributes | DiskError)[]> {
    const results = new Array<Attributes | DiskError>(numbers.length);
    for (let start = 0; start < numbers.length; start += maxBatch) {
      await this.#statBatch(numbers, start, Math.min(numbers.length, start + maxBatch), results);
    }
    return results;
  }

  async #statBatch(numbers: readonly number[], start: number, end: number, results: (Attributes | DiskError)[]): Promise<void> {
    const count = end - start;
    let ascending = true;
    // Number and position in one float: sorts natively, without an object an entry.
    const keys = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      keys[i] = numbers[start + i]! * maxBatch + i;
      if (i > 0 && keys[i]! < keys[i - 1]!) ascending = false;
    }
    if (!ascending) keys.sort();

    const offsets = new Float64Array(count);
    const { inodesPerGroup } = this.#superblock;
    let valid = 0;
    let group = -1;
    let groupError: DiskError | undefined;
    for (let i = 0; i < count; i++) {
      const key = keys[i]!;
      const number = Math.floor(key / maxBatch);
      const position = start + (key - number * maxBatch);
      const illegal = this.#findNumberError(number);
      if (illegal !== undefined) {
        results[position] = illegal;
        continue;
      }
      const ownGroup = Math.floor((number - 1) / inodesPerGroup);
      if (ownGroup !== group) {
        group = ownGroup;
        groupError = undefined;
        try {
          const descriptor = this.#groups.get(group);
          if (descriptor instanceof Promise) await descriptor;
        } catch (error) {
          groupError = toDiskError(error);
        }
      }
      if (groupError !== undefined) {
        results[position] = groupError;
        continue;
      }
      // The descriptor is at hand now, so this is no promise.
      offsets[valid] = this.#locate(number) as number;
      keys[valid++] = key;
    }

    const runs = this.#toRuns(offsets, valid);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < runs.length) {
        const run = runs[next++]!;
        await this.#statRun(run, keys, offsets, start, results);
      }
    };
    await Promise.all(Array.from({ length: Math.min(readsInFlight, runs.length) }, worker));
  }

  #toRuns(offsets: Float64Array, count: number): InodeRun[] {
    const size = this.#superblock.inodeSizeBytes;
    const runs: InodeRun[] = [];
    for (let i = 0; i < count; ) {
      const first = i;
      const startBytes = offsets[first]!;
      const blockEndBytes = (Math.floor(startBytes / cacheBlockBytes) + 1) * cacheBlockBytes;
      let endBytes = startBytes + size;
      for (i++; i < count; i++) {
        const offset = offsets[i]!;
        if (offset < startBytes || offset + size > blockEndBytes) break;
        endBytes = offset + size;
      }
      runs.push({ first, end: i, startBytes, lengthBytes: endBytes - startBytes });
    }
    return runs;
  }

  async #statRun(run: InodeRun, keys: Float64Array, offsets: Float64Array, start: number, results: (Attributes | DiskError)[]): Promise<void> {
    const size = this.#superblock.inodeSizeBytes;
    let bytes: Buffer;
    try {
      const read = this.#source.read(run.startBytes, run.lengthBytes);
      bytes = asBuffer(read instanceof Promise ? await read : read);
    } catch (error) {
      if (run.lengthBytes === size) {
        for (let i = run.first; i < run.end; i++) results[start + (keys[i]! % maxBatch)] = toDiskError(error);
        return;
      }
      // One bad sector must not take its neighbours along: each inode on its own.
      for (let i = run.first; i < run.end; i++) {
        await this.#statRun({ first: i, end: i + 1, startBytes: offsets[i]!, lengthBytes: size }, keys, offsets, start, results);
      }
      return;
    }
    for (let i = run.first; i < run.end; i++) {
      const key = keys[i]!;
      const number = Math.floor(key / maxBatch);
      const offset = offsets[i]!;
      results[start + (key - number * maxBatch)] = this.#attributes(number, bytes, offset - run.startBytes, offset);
    }
  }

  #attributes(number: number, data: Buffer, at: number, offsetBytes: number): Attributes | DiskError {
    if (this.#changes.inodes.size > 0) {
      const changed = this.#changes.inodes.get(number);
      if (changed !== undefined) return findModeError(number, changed, 0, offsetBytes) ?? this.#parse(number, changed, 0, offsetBytes);
    }
    return findInodeError(this.#superblock, number, data, at, offsetBytes) ?? this.#parse(number, data, at, offsetBytes);
  }

  #parse(number: number, data: Buffer, at: number, offsetBytes: number): Attributes | DiskError {
    const attributes = parseAttributes(this.#superblock, number, data, at, offsetBytes);
    if ((data.readUInt32LE(at + 0x20) & inodeFlags.inlineData) === 0 || attributes instanceof DiskError || attributes.type !== "file") return attributes;
    try {
      const bytes = data.subarray(at, at + this.#superblock.inodeSizeBytes);
      readInlineContents(parseInode(this.#superblock, number, bytes, offsetBytes));
      return attributes;
    } catch (error) {
      return { ...attributes, contentError: attributes.contentError ?? toDiskError(error) };
    }
  }
}

/** Positions [first, end) of the sorted inodes, and the bytes of the inode table that hold them. */
interface InodeRun {
  readonly first: number;
  readonly end: number;
  readonly startBytes: number;
  readonly lengthBytes: number;
}
