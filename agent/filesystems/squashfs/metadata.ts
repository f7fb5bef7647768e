// Metadata blocks. Source: Documentation/filesystems/squashfs.rst, "Inodes", and fs/squashfs/cache.c. Inodes,
// directories, ids, fragments and attributes lie in a row of blocks that decompress to 8 KiB each:
//
//   Offset | Size | Meaning
//   0      | 2    | size of what follows; bit 15: stored as it is. 0 stands for 32768
//   2      | n    | contents
//
// A place in a table is a reference: (position of the block from the table's start) × 65536 + offset within the
// block's contents. What doesn't fit into the rest of a block goes on in the next.
import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { NodeCache } from "../node-cache.ts";
import { decompress } from "./decompress.ts";
import type { Compression } from "./superblock.ts";

export const METADATA_BYTES = 8192;
const HEADER_BYTES = 2;
const STORED = 0x8000;
/** 4 MiB of contents. */
const CACHED_BLOCKS = 512;

interface MetadataBlock {
  readonly bytes: Uint8Array;
  /** Where the next one begins. */
  readonly next: number;
}

/** Reads metadata blocks, and keeps the last ones. */
export class Metadata {
  readonly #source: BlockSource;
  readonly #compression: Compression;
  readonly #endBytes: number;
  readonly #blocks = new NodeCache<MetadataBlock>(CACHED_BLOCKS);

  /** @param endBytes where the filesystem ends */
  constructor(source: BlockSource, compression: Compression, endBytes: number) {
    this.#source = source;
    this.#compression = compression;
    this.#endBytes = endBytes;
  }

  /** @param position in bytes from the start of the volume */
  block(position: number): MaybePromise<MetadataBlock> {
    const known = this.#blocks.get(position);
    if (known !== undefined) return known;
    if (position + HEADER_BYTES > this.#endBytes) throw corrupt("squashfs metadata block", position, `outside the ${this.#endBytes} bytes that are used`);
    const bytes = this.#source.read(position, Math.min(HEADER_BYTES + METADATA_BYTES, this.#endBytes - position));
    return bytes instanceof Promise ? bytes.then((read) => this.#decode(position, read)) : this.#decode(position, bytes);
  }

  #decode(position: number, bytes: Uint8Array): MetadataBlock {
    const header = bytes[0]! | (bytes[1]! << 8);
    const length = header & ~STORED || STORED;
    if (length > METADATA_BYTES || HEADER_BYTES + length > bytes.length) {
      throw corrupt("squashfs metadata block", position, `${length} bytes long, at most ${Math.min(METADATA_BYTES, bytes.length - HEADER_BYTES)} are expected`);
    }
    const stored = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
    const block = {
      bytes: (header & STORED) !== 0 ? Uint8Array.from(stored) : this.#inflate(position, stored),
      next: position + HEADER_BYTES + length,
    };
    this.#blocks.set(position, block);
    return block;
  }

  #inflate(position: number, stored: Uint8Array): Uint8Array {
    try {
      return decompress(this.#compression, stored, METADATA_BYTES);
    } catch (error) {
      throw corrupt("squashfs metadata block", position, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param position of the first block; @param end where the table ends: no block begins there or beyond */
  cursor(position: number, offset: number, end: number): MetadataCursor {
    return new MetadataCursor(this, position, offset, end);
  }
}

/** Reads on from a place, over the ends of blocks. */
export class MetadataCursor {
  readonly #metadata: Metadata;
  readonly #end: number;
  #position: number;
  #offset: number;
  #block: MetadataBlock | undefined;

  constructor(metadata: Metadata, position: number, offset: number, end: number) {
    this.#metadata = metadata;
    this.#position = position;
    this.#offset = offset;
    this.#end = end;
  }

  /** Where the next byte lies. */
  get place(): { readonly position: number; readonly offset: number } {
    return { position: this.#position, offset: this.#offset };
  }

  /** @param length small: the caller's bound. The bytes may be shared with the cache. */
  read(length: number): MaybePromise<Uint8Array> {
    const block = this.#block;
    if (block !== undefined && this.#offset + length <= block.bytes.length) return this.#take(block, length);
    return this.#readAcross(length);
  }

  #take(block: MetadataBlock, length: number): Uint8Array {
    const bytes = block.bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return bytes;
  }

  async #readAcross(length: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    // Every turn takes what is left of a block; the table's end bounds them.
    for (let missing = length; missing > 0; ) {
      if (this.#block === undefined || this.#offset === this.#block.bytes.length) await this.#advance();
      const piece = this.#take(this.#block!, Math.min(missing, this.#block!.bytes.length - this.#offset));
      pieces.push(piece);
      missing -= piece.length;
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  async #advance(): Promise<void> {
    const position = this.#block === undefined ? this.#position : this.#block.next;
    if (position >= this.#end) throw corrupt("squashfs metadata", position, `goes on beyond the end of its table at byte ${this.#end}`);
    const block = await this.#metadata.block(position);
    if (this.#block !== undefined) this.#offset = 0;
    this.#position = position;
    this.#block = block;
    if (this.#offset > block.bytes.length) throw corrupt("squashfs metadata block", position, `holds ${block.bytes.length} bytes, offset ${this.#offset} is asked for`);
  }
}
