import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { METADATA_BYTES, type Metadata } from "./metadata.ts";

const POINTER_BYTES = 8;

/**
 * A table of entries of one size in metadata blocks, with a list of pointers to those blocks: ids, fragments, and
 * attribute ids. Source: Documentation/filesystems/squashfs.rst.
 */
export class LookupTable {
  readonly #source: BlockSource;
  readonly #metadata: Metadata;
  readonly #name: string;
  readonly #pointersOffset: number;
  readonly #count: number;
  readonly #entryBytes: number;

  /** @param pointersOffset where the list of pointers lies, in bytes; @param entryBytes a divisor of 8192 */
  constructor(source: BlockSource, metadata: Metadata, name: string, pointersOffset: number, count: number, entryBytes: number) {
    this.#source = source;
    this.#metadata = metadata;
    this.#name = name;
    this.#pointersOffset = pointersOffset;
    this.#count = count;
    this.#entryBytes = entryBytes;
  }

  async entry(index: number): Promise<DataView> {
    if (index >= this.#count) throw corrupt(`squashfs ${this.#name} table`, this.#pointersOffset, `entry ${index} of ${this.#count}`);
    const perBlock = METADATA_BYTES / this.#entryBytes;
    const pointerOffset = this.#pointersOffset + Math.floor(index / perBlock) * POINTER_BYTES;
    const pointer = await this.#source.read(pointerOffset, POINTER_BYTES);
    const position = Number(new DataView(pointer.buffer, pointer.byteOffset, POINTER_BYTES).getBigUint64(0, true));
    if (position >= this.#source.sizeBytes) throw corrupt(`squashfs ${this.#name} table`, pointerOffset, `points to byte ${position} of ${this.#source.sizeBytes}`);
    const { bytes } = await this.#metadata.block(position);
    const offset = (index % perBlock) * this.#entryBytes;
    if (offset + this.#entryBytes > bytes.length) {
      throw corrupt(`squashfs ${this.#name} table`, position, `its block holds ${bytes.length} bytes, entry ${index} lies at ${offset}`);
    }
    return new DataView(bytes.buffer, bytes.byteOffset + offset, this.#entryBytes);
  }
}
