// zisofs: a file compressed block by block with zlib. Source: the Linux kernel's Documentation/filesystems/zisofs and
// fs/isofs/compress.c; libisofs, doc/zisofs_format.txt. Little-endian.
//
//   Offset          | Size    | Meaning
//   0               | 8       | 37 E4 53 96 C9 DB D6 07; Linux goes by the ZF entry alone
//   8               | 4       | size of the contents
//   12              | 1       | size of the header / 4
//   13              | 1       | log2 of the block size
//   header          | 4×(n+1) | where each block begins, and where the last one ends; none of its own: zeros
import { inflateSync } from "node:zlib";
import { corrupt } from "../../blocks/disk-error.ts";

const POINTER_BYTES = 4;

/** Where the pointers to `count` blocks and the end of the last lie in the stored file. */
export function pointerRange(headerBytes: number, firstBlock: number, count: number): { offset: number; length: number } {
  return { offset: headerBytes + firstBlock * POINTER_BYTES, length: (count + 1) * POINTER_BYTES };
}

/** Undefined for a block of zeros. Throws "corrupt" for one that zlib can't have made. */
export function compressedRange(pointers: Uint8Array, index: number, blockBytes: number, file: string): { offset: number; length: number } | undefined {
  const view = new DataView(pointers.buffer, pointers.byteOffset, pointers.length);
  const start = view.getUint32(index * POINTER_BYTES, true);
  const end = view.getUint32((index + 1) * POINTER_BYTES, true);
  if (start === end) return undefined;
  if (start > end || end - start > mostCompressedBytes(blockBytes)) {
    throw corrupt(`zisofs ${file}`, start, `a block from ${start} to ${end}, at most ${mostCompressedBytes(blockBytes)} bytes are expected`);
  }
  return { offset: start, length: end - start };
}

/** What zlib makes of `length` bytes that don't compress. */
function mostCompressedBytes(length: number): number {
  return length + (length >>> 12) + (length >>> 14) + (length >>> 25) + 13;
}

/** @param length of the contents in this block: all but the last are full */
export function inflateBlock(compressed: Uint8Array, blockBytes: number, length: number, file: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = inflateSync(compressed, { maxOutputLength: blockBytes, chunkSize: blockBytes });
  } catch (error) {
    throw corrupt(`zisofs ${file}`, undefined, error instanceof Error ? error.message : String(error));
  }
  if (bytes.length < length) throw corrupt(`zisofs ${file}`, undefined, `a block of ${bytes.length} bytes, expected ${length}`);
  return bytes.subarray(0, length);
}
