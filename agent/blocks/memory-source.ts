import type { BlockExtent, BlockSource } from "./block-source.ts";
import { assertRange } from "./range.ts";

/** A source over bytes at hand; reads are views of them. For tests, and for small decoded structures. */
export function memorySource(bytes: Uint8Array): BlockSource {
  return new MemorySource(bytes);
}

class MemorySource implements BlockSource {
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  read(offset: number, length: number): Uint8Array {
    assertRange(this, offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    target.set(this.read(offset, target.length));
  }

  async extents(offset: number, length: number): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    return length === 0 ? [] : [{ offset, length, hole: false }];
  }
}
