import { promisify } from "node:util";
import { inflate, inflateSync, zstdDecompress, zstdDecompressSync } from "node:zlib";
import type { MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { decodeLzoSegments } from "./lzo.ts";
import { measureZstdFrame } from "./zstd-frame.ts";

const zlib = 1;
const lzo = 2;
const names: Readonly<Record<number, string>> = { [zlib]: "zlib", [lzo]: "lzo", 3: "zstd" };

/** Larger extents are inflated in Node's thread pool, several at a time; for smaller ones handing them over costs more than it saves. */
const minPooledBytes = 32 * 1024;

const later = { inflate: promisify(inflate), zstdDecompress: promisify(zstdDecompress) };

/**
 * Decodes an extent: exactly `ramBytes`, zeros where the data end before, as Linux fills them up.
 * @param ramBytes at most 128 KiB, which bounds what a hostile stream can blow up to
 */
export function decompress(compression: number, input: Uint8Array, ramBytes: number, sectorBytes: number): Buffer {
  if (compression === lzo) return decodeLzoSegments(asBuffer(input), ramBytes, sectorBytes);
  try {
    const options = toOptions(ramBytes, sectorBytes);
    return toWhole(compression === zlib ? inflateSync(input, options) : zstdDecompressSync(toFrame(input), options), ramBytes);
  } catch (error) {
    throw toCorrupt(compression, error);
  }
}

/** The same, beside other work where that is worth it. */
export function decompressLater(compression: number, input: Uint8Array, ramBytes: number, sectorBytes: number): MaybePromise<Buffer> {
  if (compression === lzo || ramBytes < minPooledBytes) return decompress(compression, input, ramBytes, sectorBytes);
  return decompressInPool(compression, input, ramBytes, sectorBytes);
}

async function decompressInPool(compression: number, input: Uint8Array, ramBytes: number, sectorBytes: number): Promise<Buffer> {
  try {
    const options = toOptions(ramBytes, sectorBytes);
    return toWhole(await (compression === zlib ? later.inflate(input, options) : later.zstdDecompress(toFrame(input), options)), ramBytes);
  } catch (error) {
    throw toCorrupt(compression, error);
  }
}

function toOptions(ramBytes: number, sectorBytes: number): { readonly maxOutputLength: number; readonly chunkSize: number } {
  const maxOutputLength = Math.max(1, Math.ceil(ramBytes / sectorBytes) * sectorBytes);
  // One buffer takes it all, with room left: a full one would be followed by another.
  return { maxOutputLength, chunkSize: maxOutputLength + 64 };
}

function toFrame(input: Uint8Array): Uint8Array {
  return input.subarray(0, measureZstdFrame(asBuffer(input)));
}

function toWhole(bytes: Buffer, ramBytes: number): Buffer {
  if (bytes.length === ramBytes) return bytes;
  const whole = Buffer.alloc(ramBytes);
  bytes.copy(whole);
  return whole;
}

function toCorrupt(compression: number, error: unknown): unknown {
  if (error instanceof DiskError) return error;
  return corrupt(`btrfs ${names[compression]} data`, undefined, error instanceof Error ? error.message : String(error));
}
