import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";
import { assertRange } from "./range.ts";

/** What stands in place of one block. */
export type OverlayBlock =
  /** The bytes from this offset of the same source on. */
  | number
  /** Likewise, but the first bytes are these. */
  | { readonly sourceOffset: number; readonly head: Uint8Array }
  /** These bytes, one block of them. */
  | Uint8Array;

/**
 * A source in which some blocks are replaced, as a journal's replay would have written them. Nothing
 * is written or copied until it is read: a replaced block costs one map entry.
 * @param blocks by block index: what to read instead of [index * blockSizeBytes, + blockSizeBytes)
 */
export function overlay(source: BlockSource, blockSizeBytes: number, blocks: ReadonlyMap<number, OverlayBlock>): BlockSource {
  return blocks.size === 0 ? source : new Overlay(source, blockSizeBytes, blocks);
}

/** A part of a request that is read from one place. */
interface Part {
  readonly at: number;
  length: number;
  /** Offset in the source, or the bytes themselves. */
  readonly from: number | Uint8Array;
  readonly head?: Uint8Array;
}

class Overlay implements BlockSource {
  readonly sizeBytes: number;
  readonly #source: BlockSource;
  readonly #blockSize: number;
  readonly #blocks: ReadonlyMap<number, OverlayBlock>;

  constructor(source: BlockSource, blockSizeBytes: number, blocks: ReadonlyMap<number, OverlayBlock>) {
    this.#source = source;
    this.sizeBytes = source.sizeBytes;
    this.#blockSize = blockSizeBytes;
    this.#blocks = blocks;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    const parts = this.#parts(offset, length);
    const [only] = parts;
    if (only === undefined) return new Uint8Array(0);
    if (parts.length === 1 && only.head === undefined) {
      return typeof only.from === "number" ? this.#source.read(only.from, length) : only.from;
    }
    const target = new Uint8Array(length);
    const pending: Promise<void>[] = [];
    for (const part of parts) {
      if (typeof part.from !== "number") target.set(part.from, part.at);
      else {
        const bytes = this.#source.read(part.from, part.length);
        if (bytes instanceof Promise) pending.push(bytes.then((ready) => place(target, part, ready)));
        else place(target, part, bytes);
      }
    }
    return pending.length === 0 ? target : Promise.all(pending).then(() => target);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    for (const part of this.#parts(offset, target.length)) {
      const view = target.subarray(part.at, part.at + part.length);
      if (typeof part.from === "number") await this.#source.readInto(part.from, view, signal);
      else view.set(part.from);
      if (part.head !== undefined) view.set(part.head);
    }
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    const first = this.#parts(offset, length)[0];
    if (first === undefined) return [];
    // The answer may stop short: at the first change between what is replaced and what isn't.
    if (first.from === offset && first.head === undefined) return this.#source.extents(offset, first.length, signal);
    return [{ offset, length: first.length, hole: false }];
  }

  /** The request cut where blocks are replaced; neighbours that continue one another stay together. */
  #parts(offset: number, length: number): Part[] {
    const parts: Part[] = [];
    const end = offset + length;
    for (let position = offset; position < end; ) {
      const index = Math.floor(position / this.#blockSize);
      const within = position - index * this.#blockSize;
      const count = Math.min(this.#blockSize - within, end - position);
      const block = this.#blocks.get(index);
      const at = position - offset;
      let part: Part;
      if (block === undefined) part = { at, length: count, from: position };
      else if (typeof block === "number") part = { at, length: count, from: block + within };
      else if (block instanceof Uint8Array) part = { at, length: count, from: block.subarray(within, within + count) };
      else {
        const head = block.head.subarray(within, within + count);
        part = { at, length: count, from: block.sourceOffset + within, ...(head.length > 0 && { head }) };
      }
      const last = parts.at(-1);
      if (
        last !== undefined && typeof last.from === "number" && last.head === undefined && part.head === undefined &&
        last.from + last.length === part.from
      ) {
        last.length += count;
      } else {
        parts.push(part);
      }
      position += count;
    }
    return parts;
  }
}

function place(target: Uint8Array, part: Part, bytes: Uint8Array): void {
  target.set(bytes, part.at);
  if (part.head !== undefined) target.set(part.head, part.at);
}
