import type { BlockSource, MaybePromise } from "../blocks/block-source.ts";
import { corrupt } from "../blocks/disk-error.ts";
import type { FileExtent, FileSystem } from "../filesystems/filesystem.ts";

/** How much of the map of a file is asked for at once, in bytes of the file. */
const mapAheadBytes = 256 * 1024 * 1024;
/** Separate reads in one chunk; a more fragmented file comes in smaller chunks. */
const maxPartsPerChunk = 64;

/** The next bytes of a file and where they come from. */
export interface Chunk {
  readonly offset: number;
  readonly length: number;
  readonly parts: readonly Part[];
}

/** A piece of a chunk, `at` bytes from its start. What no part covers is zeros. */
export type Part =
  | { readonly kind: "source"; readonly at: number; length: number; readonly source: BlockSource; readonly sourceOffset: number }
  | { readonly kind: "bytes"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "decoded"; readonly at: number; readonly length: number; readonly extent: DecodedExtent; readonly skip: number };

export type DecodedExtent = Extract<FileExtent, { kind: "decoded" }>;

/**
 * Cuts a range of a file into chunks, across the borders of its extents: extents that lie side by side
 * in the source become one read, holes none.
 */
export class ContentPlan {
  readonly #fileSystem: Pick<FileSystem, "extents">;
  readonly #node: unknown;
  readonly #end: number;
  #position: number;
  #extents: readonly FileExtent[] = [];
  #index = 0;

  constructor(fileSystem: Pick<FileSystem, "extents">, node: unknown, offset: number, length: number) {
    this.#fileSystem = fileSystem;
    this.#node = node;
    this.#position = offset;
    this.#end = offset + length;
  }

  /** The next chunk of at most `chunkBytes`; undefined at the end of the range. At once when the map is known. */
  next(chunkBytes: number): MaybePromise<Chunk | undefined> {
    if (this.#position >= this.#end) return undefined;
    const extent = this.#current();
    if (extent !== undefined) return this.#compose(chunkBytes);
    const extents = this.#fileSystem.extents(this.#node, this.#position, Math.min(this.#end - this.#position, mapAheadBytes));
    if (!(extents instanceof Promise)) {
      this.#use(extents);
      return this.#compose(chunkBytes);
    }
    return extents.then((found) => {
      this.#use(found);
      return this.#compose(chunkBytes);
    });
  }

  #use(extents: readonly FileExtent[]): void {
    this.#extents = extents;
    this.#index = 0;
    if (this.#current() === undefined) throw corrupt("file map", undefined, `nothing covers byte ${this.#position} of the file`);
  }

  /** The extent that holds the current position; undefined when the map must be asked. */
  #current(): FileExtent | undefined {
    for (let extent = this.#extents[this.#index]; extent !== undefined; extent = this.#extents[this.#index]) {
      if (extent.offset > this.#position) return undefined;
      if (extent.offset + extent.length > this.#position) return extent;
      this.#index += 1;
    }
    return undefined;
  }

  #compose(chunkBytes: number): Chunk {
    const offset = this.#position;
    const end = Math.min(offset + chunkBytes, this.#end);
    const parts: Part[] = [];
    for (let extent = this.#current(); extent !== undefined && this.#position < end; extent = this.#current()) {
      const skip = this.#position - extent.offset;
      const length = Math.min(extent.length - skip, end - this.#position);
      const at = this.#position - offset;
      const previous = parts.at(-1);
      if (extent.kind === "data") {
        const sourceOffset = extent.sourceOffset + skip;
        if (
          previous?.kind === "source" &&
          previous.source === extent.source &&
          previous.at + previous.length === at &&
          previous.sourceOffset + previous.length === sourceOffset
        ) {
          previous.length += length;
        } else {
          if (parts.length >= maxPartsPerChunk) break;
          parts.push({ kind: "source", at, length, source: extent.source, sourceOffset });
        }
      } else if (extent.kind !== "hole") {
        if (parts.length >= maxPartsPerChunk) break;
        if (extent.kind === "inline") parts.push({ kind: "bytes", at, bytes: extent.bytes.subarray(skip, skip + length) });
        else parts.push({ kind: "decoded", at, length, extent, skip });
      }
      this.#position += length;
    }
    return { offset, length: this.#position - offset, parts };
  }
}
