// Directories: groups of up to 256 names. Source: fs/squashfs/squashfs_fs.h, dir.c.
//
//   Offset | Size | Field        | Meaning
//   header:
//   0      | 4    | count        | of entries, less one
//   4      | 4    | block        | metadata block of their inodes, from the inode table's start
//   8      | 4    | inode number | that the entries' numbers are relative to
//   entry:
//   0      | 2    | offset       | of the inode within its metadata block
//   2      | 2    | number       | signed
//   4      | 2    | type         | 1 to 7 (see inode.ts)
//   6      | 2    | size         | of the name, less one
//   8      |      | name         |
import { corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { toByteString } from "../byte-string.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import { typeOfNumber } from "./inode.ts";
import type { MetadataCursor } from "./metadata.ts";
import { damagedNode, type SquashNode } from "./node.ts";

/** The size of a directory counts three bytes that aren't there. */
export const PHANTOM_BYTES = 3;

const HEADER_BYTES = 12;
const ENTRY_BYTES = 8;
const MAX_GROUP = 256;
const MAX_NAME_BYTES = 256;
/** A million names of 250 bytes. */
const MAX_DIRECTORY_BYTES = 256 * 1024 * 1024;

export type SquashEntry = DirectoryEntry<SquashNode>;

/**
 * The entries of a directory, a group at a time; ends with a damaged one where nothing more can be read.
 * @param cursor stands at its first header; @param sizeBytes without the phantom bytes
 */
export async function* readEntries(cursor: MetadataCursor, sizeBytes: number, directory: string): AsyncGenerator<readonly SquashEntry[]> {
  for (let at = 0; at < sizeBytes; ) {
    const entries: SquashEntry[] = [];
    try {
      if (at > MAX_DIRECTORY_BYTES) throw corrupt(directory, undefined, `longer than the ${MAX_DIRECTORY_BYTES} bytes that are read`);
      at = await readGroup(cursor, at, sizeBytes, directory, entries);
    } catch (error) {
      const known = toDiskError(error);
      yield [...entries, { name: `#damaged-directory-at-${at}`, node: damagedNode(known), type: undefined, error: known }];
      return;
    }
    yield entries;
  }
}

async function readGroup(cursor: MetadataCursor, start: number, sizeBytes: number, directory: string, entries: SquashEntry[]): Promise<number> {
  let at = start + HEADER_BYTES;
  if (at > sizeBytes) throw corrupt(directory, undefined, `${sizeBytes - start} bytes left for a header`);
  const header = toView(await cursor.read(HEADER_BYTES));
  const count = header.getUint32(0, true) + 1;
  const block = header.getUint32(4, true);
  if (count > MAX_GROUP) throw corrupt(directory, undefined, `a group of ${count} entries, at most ${MAX_GROUP} are expected`);
  for (let index = 0; index < count; index += 1) {
    if (at + ENTRY_BYTES > sizeBytes) throw corrupt(directory, undefined, `${sizeBytes - at} bytes left for entry ${index} of ${count}`);
    const fixed = cursor.read(ENTRY_BYTES);
    const entry = toView(fixed instanceof Promise ? await fixed : fixed);
    const offset = entry.getUint16(0, true);
    const type = entry.getUint16(4, true);
    const length = entry.getUint16(6, true) + 1;
    at += ENTRY_BYTES + length;
    if (length > MAX_NAME_BYTES || at > sizeBytes) throw corrupt(directory, undefined, `a name of ${length} bytes, ${sizeBytes - at + length} are left`);
    const bytes = cursor.read(length);
    const name = toByteString(bytes instanceof Promise ? await bytes : bytes);
    entries.push(toEntry(name, { reference: block * 0x10000 + offset, damage: undefined }, type, directory));
  }
  return at;
}

function toEntry(name: string, node: SquashNode, typeNumber: number, directory: string): SquashEntry {
  const type = typeOfNumber(typeNumber);
  if (name === "." || name === ".." || /[/\0]/.test(name)) {
    const shown = name.replace(/[/\0]/g, "_");
    const error = corrupt(directory, undefined, `the name ${JSON.stringify(name)}, which no path can hold`);
    return { name: shown.startsWith(".") && shown.length <= 2 ? `#damaged-name-${node.reference}` : shown, node, type: undefined, error };
  }
  if (type === undefined) return { name, node, type, error: corrupt(directory, undefined, `type ${typeNumber}, expected 1 to 7`) };
  return { name, node, type };
}

function toView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
