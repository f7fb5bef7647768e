import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";
import { assertRange } from "./range.ts";

/**
 * The bytes [offset, offset + length) of a source as a source of their own: a partition, a segment.
 * Throws "corrupt" when the range leaves the source. A slice of a slice reads the first source directly.
 */
export function slice(source: BlockSource, offset: number, length: number): BlockSource {
  assertRange(source, offset, length);
  if (offset === 0 && length === source.sizeBytes) return source;
  return source instanceof Slice ? source.narrow(offset, length) : new Slice(source, offset, length);
}

class Slice implements BlockSource {
  readonly sizeBytes: number;
  readonly #source: BlockSource;
  readonly #start: number;

  constructor(source: BlockSource, start: number, length: number) {
    this.#source = source;
    this.#start = start;
    this.sizeBytes = length;
  }

  narrow(offset: number, length: number): Slice {
    return new Slice(this.#source, this.#start + offset, length);
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    return this.#source.read(this.#start + offset, length);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    await this.#source.readInto(this.#start + offset, target, signal);
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    const extents = await this.#source.extents(this.#start + offset, length, signal);
    return extents.map((extent) => ({ ...extent, offset: extent.offset - this.#start }));
  }
}
