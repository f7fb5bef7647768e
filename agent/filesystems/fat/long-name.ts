// Long names: records with attribute 0x0f before the record they name, last part first. Source: fatgen103, "Long
// Directory Entries"; what counts as a whole name: the Linux kernel's fs/fat/dir.c.
//
//   Offset | Size | Field    | Meaning
//   0      | 1    | ordinal  | 1 to 20 from the short record backwards; 0x40 added on the first one stored
//   1      | 10   | name     | 5 UTF-16 units
//   11     | 1    | 0x0f     |
//   13     | 1    | checksum | of the short name that these belong to
//   14     | 12   | name     | 6 units
//   28     | 4    | name     | 2 units
import { toByteString, type ByteString } from "../byte-string.ts";

const LAST_PART = 0x40;
const UNITS_PER_PART = 13;
/** 255 units need 20 parts. */
const MAX_PARTS = 20;
const unitOffsets = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const;

/** Collects the parts of one long name as they come. */
export class LongName {
  readonly #units = new Uint16Array(MAX_PARTS * UNITS_PER_PART);
  /** The low bytes of the units: the whole name where it is ASCII, as most are. */
  readonly #lowBytes = Buffer.alloc(MAX_PARTS * UNITS_PER_PART);
  #unitCount = 0;
  #missingParts = 0;
  #checksum = 0;
  #isStarted = false;

  /** True when every part was seen and the short record must follow. */
  get isComplete(): boolean {
    return this.#isStarted && this.#missingParts === 0;
  }

  reset(): void {
    this.#isStarted = false;
  }

  /** Takes the record at `at`, continuing or starting anew; a part out of order drops what came before. */
  add(bytes: Uint8Array, at: number): void {
    const ordinal = bytes[at]!;
    const checksum = bytes[at + 13]!;
    const continues =
      this.#isStarted && this.#missingParts > 0 && (ordinal & ~LAST_PART) === this.#missingParts && checksum === this.#checksum;
    if (!continues && !this.#start(ordinal, checksum)) return;
    this.#missingParts -= 1;
    const first = this.#missingParts * UNITS_PER_PART;
    for (let unit = 0; unit < UNITS_PER_PART; unit += 1) {
      const position = at + unitOffsets[unit]!;
      this.#lowBytes[first + unit] = bytes[position]!;
      this.#units[first + unit] = bytes[position]! | (bytes[position + 1]! << 8);
    }
  }

  #start(ordinal: number, checksum: number): boolean {
    const parts = ordinal & ~LAST_PART;
    this.#isStarted = (ordinal & LAST_PART) !== 0 && parts >= 1 && parts <= MAX_PARTS;
    this.#missingParts = parts;
    this.#unitCount = parts * UNITS_PER_PART;
    this.#checksum = checksum;
    return this.#isStarted;
  }

  /** The name, when it is complete and belongs to the short record at `at`; undefined otherwise. */
  take(bytes: Uint8Array, at: number): ByteString | undefined {
    const belongs = this.isComplete && shortNameChecksum(bytes, at) === this.#checksum;
    this.#isStarted = false;
    if (!belongs) return undefined;
    let length = 0;
    let combined = 0;
    for (; length < this.#unitCount && this.#units[length] !== 0; length += 1) combined |= this.#units[length]!;
    if (combined < 0x80) return toByteString(this.#lowBytes, 0, length);
    return utf16ToByteString(String.fromCharCode(...this.#units.subarray(0, length)));
  }
}

/** The sum that ties long-name parts to the 11 bytes of their short name. */
export function shortNameChecksum(bytes: Uint8Array, at: number): number {
  let sum = 0;
  for (let index = 0; index < 11; index += 1) sum = (((sum & 1) << 7) + (sum >>> 1) + bytes[at + index]!) & 0xff;
  return sum;
}

/**
 * UTF-8 of a UTF-16 name. A surrogate without its partner, which UTF-8 has no form for, becomes the three bytes
 * that its number would have (WTF-8): the name stays distinct and can be turned back. Linux drops such a unit.
 */
function utf16ToByteString(text: string): ByteString {
  if (text.isWellFormed()) return toByteString(Buffer.from(text, "utf8"));
  let bytes = "";
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const isSurrogate = code >= 0xd800 && code <= 0xdfff;
    bytes += isSurrogate
      ? String.fromCharCode(0xe0 | (code >>> 12), 0x80 | ((code >>> 6) & 0x3f), 0x80 | (code & 0x3f))
      : toByteString(Buffer.from(character, "utf8"));
  }
  return bytes;
}
