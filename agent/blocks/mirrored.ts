import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";
import { DiskError } from "./disk-error.ts";
import { assertRange } from "./range.ts";

/** Copies of the same bytes: reads the first, and the next where its storage fails. At least one copy, all of `sizeBytes` or more. */
export function mirrored(copies: readonly BlockSource[], sizeBytes: number): BlockSource {
  return new Mirrored(copies, sizeBytes);
}

class Mirrored implements BlockSource {
  readonly sizeBytes: number;
  readonly #copies: readonly BlockSource[];

  constructor(copies: readonly BlockSource[], sizeBytes: number) {
    this.#copies = copies;
    this.sizeBytes = sizeBytes;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    try {
      const bytes = this.#copies[0]!.read(offset, length);
      return bytes instanceof Promise ? bytes.catch((error: unknown) => this.#others(error, (copy) => copy.read(offset, length))) : bytes;
    } catch (error) {
      return this.#others(error, (copy) => copy.read(offset, length));
    }
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    try {
      await this.#copies[0]!.readInto(offset, target, signal);
    } catch (error) {
      await this.#others(error, (copy) => copy.readInto(offset, target, signal));
    }
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    try {
      return await this.#copies[0]!.extents(offset, length, signal);
    } catch (error) {
      return await this.#others(error, (copy) => copy.extents(offset, length, signal));
    }
  }

  /** Any failure but that of the storage would repeat itself: the copies hold the same bytes. */
  async #others<T>(error: unknown, attempt: (copy: BlockSource) => MaybePromise<T>): Promise<T> {
    for (const copy of this.#copies.slice(1)) {
      if (!(error instanceof DiskError) || error.code !== "io_error") break;
      try {
        return await attempt(copy);
      } catch {
        // The first copy's failure is the one that is told.
      }
    }
    throw error;
  }
}
