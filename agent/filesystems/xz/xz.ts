// The .xz container. Source: "The .xz File Format" 1.2.1. A stream of one block here, as squashfs writes it:
//
//   Size | Meaning
//   12   | FD 37 7A 58 5A 00; two bytes of flags, of which the low 4 bits of the second give the check; CRC-32 of the flags
//   n    | block header: (size / 4) − 1; flags: filters less one, 0x40 and 0x80: its sizes follow; the sizes; the filters;
//        | padding; CRC-32
//   n    | LZMA2 data, padded to four bytes
//   n    | the check: 0 none, 1 CRC-32, 4 CRC-64, 10 SHA-256
//   n    | an index and a footer, which say nothing new
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { corrupt, unsupported, type DiskError } from "../../blocks/disk-error.ts";
import { decodeLzma2 } from "./lzma2.ts";

const HEADER_BYTES = 12;
const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FILTER_LZMA2 = 0x21;
/** Filters that turn code around to make it compress better. */
const filterNames: ReadonlyMap<number, string> = new Map([
  [0x03, "delta"], [0x04, "x86"], [0x05, "powerpc"], [0x06, "ia64"], [0x07, "arm"], [0x08, "armthumb"], [0x09, "sparc"], [0x0a, "arm64"], [0x0b, "riscv"],
]);

/**
 * @param maxBytes the most that it may hold
 * Throws "corrupt", also where the check fails; "unsupported" for filters other than LZMA2.
 */
export function decodeXz(input: Uint8Array, maxBytes: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  if (input.length < HEADER_BYTES || MAGIC.some((byte, index) => input[index] !== byte)) throw fail("no stream header");
  if (crc32(input.subarray(6, 8)) !== view.getUint32(8, true)) throw fail("the stream header's checksum is wrong");
  const check = input[7]! & 0xf;

  const headerBytes = ((input[HEADER_BYTES] ?? 0) + 1) * 4;
  const dataOffset = HEADER_BYTES + headerBytes;
  if (headerBytes === 4 || dataOffset > input.length) throw fail(`a block header of ${headerBytes} bytes`);
  const header = input.subarray(HEADER_BYTES, dataOffset);
  if (crc32(header.subarray(0, -4)) !== view.getUint32(dataOffset - 4, true)) throw fail("the block header's checksum is wrong");
  assertFilters(header.subarray(0, -4));

  const output = new Uint8Array(maxBytes);
  const { read, written } = decodeLzma2(input.subarray(dataOffset), output);
  const bytes = output.subarray(0, written);
  const checkOffset = Math.ceil((dataOffset + read) / 4) * 4;
  assertCheck(check, bytes, input.subarray(checkOffset));
  return bytes;
}

function assertFilters(header: Uint8Array): void {
  let at = 2;
  const number = (): number => {
    let value = 0;
    // Nine bytes hold any number there may be.
    for (let shift = 0; shift < 9; shift += 1) {
      const byte = header[at++];
      if (byte === undefined) throw fail("the block header ends in the middle of a number");
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if ((byte & 0x80) === 0) return value;
    }
    throw fail("a number of more than nine bytes");
  };
  const flags = header[1]!;
  if ((flags & 0x40) !== 0) number();
  if ((flags & 0x80) !== 0) number();
  for (let count = (flags & 3) + 1; count > 0; count -= 1) {
    const id = number();
    at += number();
    if (id !== FILTER_LZMA2) throw unsupported(`xz filter ${filterNames.get(id) ?? `0x${id.toString(16)}`}`);
  }
}

/** CRC-64 is not verified, as in Linux. */
function assertCheck(check: number, bytes: Uint8Array, stored: Uint8Array): void {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.length);
  if (check === 1 && (stored.length < 4 || crc32(bytes) !== view.getUint32(0, true))) throw fail("its CRC-32 is wrong");
  if (check === 10 && !createHash("sha256").update(bytes).digest().equals(stored.subarray(0, 32))) throw fail("its SHA-256 is wrong");
}

function fail(found: string): DiskError {
  return corrupt("xz data", undefined, found);
}
