import { constants, inflateSync, zstdDecompressSync } from "node:zlib";
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import { decodeLz4 } from "../lz4.ts";
import { decodeLzo1x } from "../lzo1x.ts";
import { decodeXz } from "../xz/xz.ts";
import type { Compression } from "./superblock.ts";

/**
 * @param maxBytes the most that the block may hold, 1 MiB at most: bounds what a hostile stream can blow up to
 * @returns as many bytes as the block holds. Throws "corrupt", or "unsupported" for a variant of xz that isn't read.
 */
export function decompress(compression: Compression, input: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return decoders[compression](input, maxBytes);
  } catch (error) {
    if (error instanceof DiskError) throw error;
    throw corrupt(`squashfs ${compression} data`, undefined, toDiskError(error).message);
  }
}

const decoders: Record<Compression, (input: Uint8Array, maxBytes: number) => Uint8Array> = {
  // One buffer for the output, instead of many small ones that are joined.
  gzip: (input, maxBytes) => inflateSync(input, toLimits(maxBytes)),
  zstd: (input, maxBytes) => zstdDecompressSync(input, toLimits(maxBytes)),
  lzo: (input, maxBytes) => {
    const output = new Uint8Array(maxBytes);
    return output.subarray(0, decodeLzo1x(input, output));
  },
  lz4: (input, maxBytes) => {
    const output = new Uint8Array(maxBytes);
    return output.subarray(0, decodeLz4(input, output));
  },
  xz: (input, maxBytes) => decodeXz(input, maxBytes),
};

/** One output buffer of the right size; zlib takes none below 64 bytes, and the last block of a file can be shorter. */
function toLimits(maxBytes: number): { maxOutputLength: number; chunkSize: number } {
  return { maxOutputLength: maxBytes, chunkSize: Math.max(maxBytes, constants.Z_MIN_CHUNK) };
}
