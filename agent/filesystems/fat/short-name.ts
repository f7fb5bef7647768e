// The 8.3 name of a directory record. Source: fatgen103, "FAT Directory Structure"; how it is shown: the Linux
// kernel's fs/fat/dir.c with the default shortname=mixed.
//
//   Offset | Size | Field     | Meaning
//   0      | 8    | base      | padded with spaces; a first byte 0x05 stands for 0xe5
//   8      | 3    | extension | padded with spaces
//   12     | 1    | case      | 0x08: base in lower case, 0x10: extension in lower case (Windows NT)
import { textToByteString, type ByteString } from "../byte-string.ts";
import { fromCodePage437, lowerFromCodePage437 } from "./code-page-437.ts";

const CASE_LOWER_BASE = 0x08;
const CASE_LOWER_EXTENSION = 0x10;
const SPACE = 0x20;
const KANJI_LEAD = 0x05;

/** As Linux shows it; "" when base and extension are empty, which no system writes. */
export function parseShortName(bytes: Uint8Array, at: number): ByteString {
  const caseBits = bytes[at + 12]!;
  const base = decode(bytes, at, at + 8, (caseBits & CASE_LOWER_BASE) !== 0);
  const extension = decode(bytes, at + 8, at + 11, (caseBits & CASE_LOWER_EXTENSION) !== 0);
  return textToByteString(extension === "" ? base : `${base}.${extension}`);
}

/** The 11 bytes of a volume label, as text. */
export function labelText(bytes: Uint8Array, at: number): string {
  return decode(bytes, at, at + 11, false);
}

function decode(bytes: Uint8Array, start: number, end: number, isLower: boolean): string {
  let text = "";
  let length = 0;
  for (let at = start; at < end; at += 1) {
    let byte = bytes[at]!;
    if (byte === 0) break;
    // The first byte 0xe5 marks deleted records; a name that really starts with it has 0x05 there.
    if (byte === KANJI_LEAD && at === start && end - start >= 8) byte = 0xe5;
    text += isLower ? lowerFromCodePage437(byte) : fromCodePage437(byte);
    if (byte !== SPACE) length = text.length;
  }
  return text.slice(0, length);
}
