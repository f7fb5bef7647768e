// Extended attributes. Source: fs/squashfs/xattr.c, xattr_id.c.
//
//   Offset | Size | Meaning
//   header of the xattr id table:
//   0      | 8    | where the attributes begin
//   8      | 4    | how many entries the id table has
//   entry of the id table:
//   0      | 8    | reference to the first attribute, from where the attributes begin (see metadata.ts)
//   8      | 4    | how many
//   12     | 4    | their size
//   attribute:
//   0      | 2    | prefix: 0 "user.", 1 "trusted.", 2 "security."; 0x100: the value lies elsewhere
//   2      | 2    | size of the name, which follows
//   +0     | 4    | size of the value, which follows; elsewhere: 8, and the reference to such a size and value
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import { LookupTable } from "./lookup-table.ts";
import type { Metadata } from "./metadata.ts";

const HEADER_BYTES = 16;
const ENTRY_BYTES = 16;
const ELSEWHERE = 0x100;
const REFERENCE_BYTES = 8;
/** Of one file: Linux hands out no list of more than 64 KiB of names. */
const MAX_ATTRIBUTES = 16_384;
/** Linux stores none larger. */
const MAX_VALUE_BYTES = 64 * 1024;
/** Of one file, together. */
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;

const prefixes: ReadonlyMap<number, string> = new Map([[0, "user."], [1, "trusted."], [2, "security."]]);

export class ExtendedAttributes {
  readonly #metadata: Metadata;
  readonly #ids: LookupTable;
  readonly #start: number;
  readonly #end: number;

  private constructor(metadata: Metadata, ids: LookupTable, start: number, end: number) {
    this.#metadata = metadata;
    this.#ids = ids;
    this.#start = start;
    this.#end = end;
  }

  /** @param offset of the xattr id table, behind which nothing of the attributes lies */
  static async open(source: BlockSource, metadata: Metadata, offset: number): Promise<ExtendedAttributes> {
    const header = await source.read(offset, HEADER_BYTES);
    const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
    const start = Number(view.getBigUint64(0, true));
    if (start >= offset) throw corrupt("squashfs xattr id table", offset, `the attributes begin at byte ${start}, behind it`);
    return new ExtendedAttributes(metadata, new LookupTable(source, metadata, "xattr id", offset + HEADER_BYTES, view.getUint32(8, true), ENTRY_BYTES), start, offset);
  }

  async read(index: number): Promise<Map<ByteString, Uint8Array>> {
    const entry = await this.#ids.entry(index);
    const count = entry.getUint32(8, true);
    if (count > MAX_ATTRIBUTES) throw corrupt(`squashfs xattr id ${index}`, undefined, `${count} attributes, at most ${MAX_ATTRIBUTES} are read`);
    const cursor = this.#cursor(entry.getBigUint64(0, true), `squashfs xattr id ${index}`);
    const found = new Map<ByteString, Uint8Array>();
    let total = 0;
    for (let number = 0; number < count; number += 1) {
      const header = toView(await cursor.read(4));
      const type = header.getUint16(0, true);
      const name = toByteString(await cursor.read(header.getUint16(2, true)));
      const size = toView(await cursor.read(4)).getUint32(0, true);
      let value: Uint8Array;
      if ((type & ELSEWHERE) !== 0) {
        if (size !== REFERENCE_BYTES) throw corrupt(`squashfs xattr id ${index}`, undefined, `a reference of ${size} bytes, expected ${REFERENCE_BYTES}`);
        const elsewhere = this.#cursor(toView(await cursor.read(REFERENCE_BYTES)).getBigUint64(0, true), `squashfs xattr id ${index}`);
        value = await readValue(elsewhere, toView(await elsewhere.read(4)).getUint32(0, true), index);
      } else {
        value = await readValue(cursor, size, index);
      }
      total += name.length + value.length;
      if (total > MAX_TOTAL_BYTES) throw corrupt(`squashfs xattr id ${index}`, undefined, `more than ${MAX_TOTAL_BYTES} bytes of attributes`);
      // Like Linux, passes over prefixes that it doesn't know.
      const prefix = prefixes.get(type & 0xff);
      if (prefix !== undefined) found.set(prefix + name, value);
    }
    return found;
  }

  #cursor(reference: bigint, structure: string): ReturnType<Metadata["cursor"]> {
    const position = Number(reference >> 16n) + this.#start;
    if (position >= this.#end) throw corrupt(structure, undefined, `refers to byte ${position}, the attributes end at ${this.#end}`);
    return this.#metadata.cursor(position, Number(reference & 0xffffn), this.#end);
  }
}

async function readValue(cursor: ReturnType<Metadata["cursor"]>, size: number, index: number): Promise<Uint8Array> {
  if (size > MAX_VALUE_BYTES) throw corrupt(`squashfs xattr id ${index}`, undefined, `a value of ${size} bytes, at most ${MAX_VALUE_BYTES} are expected`);
  return Uint8Array.from(await cursor.read(size));
}

function toView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
