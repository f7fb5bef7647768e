import { inflateSync, zstdDecompressSync } from "node:zlib";
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { decodeLzoSegments } from "./lzo.ts";
import { measureZstdFrame } from "./zstd-frame.ts";

const zlib = 1;
const lzo = 2;
const names: Readonly<Record<number, string>> = { [zlib]: "zlib", [lzo]: "lzo", 3: "zstd" };

/**
 * Decodes an extent: exactly `ramBytes`, zeros where the data end before, as Linux fills them up.
 * @param ramBytes at most 128 KiB, which bounds what a hostile stream can blow up to
 */
export function decompress(compression: number, input: Uint8Array, ramBytes: number, sectorBytes: number): Buffer {
  if (compression === lzo) return decodeLzoSegments(asBuffer(input), ramBytes, sectorBytes);
  try {
    const options = { maxOutputLength: Math.max(1, Math.ceil(ramBytes / sectorBytes) * sectorBytes) };
    const bytes = compression === zlib ? inflateSync(input, options) : zstdDecompressSync(input.subarray(0, measureZstdFrame(asBuffer(input))), options);
    if (bytes.length === ramBytes) return bytes;
    const whole = Buffer.alloc(ramBytes);
    bytes.copy(whole);
    return whole;
  } catch (error) {
    if (error instanceof DiskError) throw error;
    throw corrupt(`btrfs ${names[compression]} data`, undefined, error instanceof Error ? error.message : String(error));
  }
}
