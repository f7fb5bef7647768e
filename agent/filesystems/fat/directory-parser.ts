import { corrupt } from "../../blocks/disk-error.ts";
import { byteStringToText, type ByteString } from "../byte-string.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import type { FatBits } from "./boot-sector.ts";
import {
  ATTRIBUTE_DIRECTORY, ATTRIBUTE_LABEL, ATTRIBUTE_LONG_NAME, DELETED, parseDirectoryRecord, RECORD_BYTES, type FatNode,
} from "./directory-record.ts";
import { LongName } from "./long-name.ts";
import { parseShortName } from "./short-name.ts";

export interface FatEntry extends DirectoryEntry<FatNode> {
  /** The 8.3 name, by which a file can be looked up as well. */
  readonly shortName: ByteString;
}

/**
 * Turns the records of a directory into entries, piece by piece: a long name may begin in one and end in the next.
 * Like Linux, it doesn't stop at the record that marks the end, so that nothing stored behind it is hidden.
 */
export class DirectoryParser {
  /** Directories among the records so far, `.` and `..` included: Linux's link count. */
  directoryCount = 0;
  readonly #fatBits: FatBits;
  readonly #longName = new LongName();

  constructor(fatBits: FatBits) {
    this.#fatBits = fatBits;
  }

  /** @param offset where `bytes`, whole records, lie on the volume */
  parse(bytes: Uint8Array, offset: number): FatEntry[] {
    const entries: FatEntry[] = [];
    for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
      const first = bytes[at]!;
      const attributes = bytes[at + 11]!;
      if (attributes === ATTRIBUTE_LONG_NAME) {
        this.#longName.add(bytes, at);
        continue;
      }
      if (first === 0 || first === DELETED || (attributes & ATTRIBUTE_LABEL) !== 0) {
        this.#longName.reset();
        continue;
      }
      const isDirectory = (attributes & ATTRIBUTE_DIRECTORY) !== 0;
      if (isDirectory) this.directoryCount += 1;
      const long = this.#longName.take(bytes, at);
      if (isDotRecord(bytes, at)) continue;
      entries.push(this.#entry(bytes, at, offset, long, isDirectory));
    }
    return entries;
  }

  /** Drops the long name begun: its other parts lie in records that could not be read. */
  reset(): void {
    this.#longName.reset();
  }

  #entry(bytes: Uint8Array, at: number, offset: number, long: ByteString | undefined, isDirectory: boolean): FatEntry {
    const shortName = parseShortName(bytes, at);
    const node = parseDirectoryRecord(bytes, at, offset + at, this.#fatBits);
    const type = isDirectory ? "directory" : "file";
    const name = long ?? shortName;
    if (isValidName(name)) return { name, shortName, node, type };
    const error = corrupt("FAT directory record", offset + at, `the name ${JSON.stringify(byteStringToText(name))} can't be a file's`);
    return { name: isValidName(shortName) ? shortName : madeUpName(offset + at), shortName, node, type, error };
  }
}

/** `.` and `..`, stored as the first two records of every directory but the root. */
function isDotRecord(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 0x2e) return false;
  const second = bytes[at + 1]!;
  if (second !== 0x20 && second !== 0x2e) return false;
  for (let index = 2; index < 11; index += 1) if (bytes[at + index] !== 0x20) return false;
  return true;
}

function isValidName(name: ByteString): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
}

/** Something to list and open it by: no other record has this number. */
function madeUpName(recordOffset: number): ByteString {
  return `unnamed-record-at-${recordOffset}`;
}
