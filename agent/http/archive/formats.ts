import { constants, createGzip, createZstdCompress } from "node:zlib";
import type { ArchiveFormat } from "../../../shared/link.ts";
import { batchBytes } from "./byte-batch.ts";
import type { EncoderFactory } from "./encoder.ts";
import { TarEncoder } from "./tar.ts";
import { writeArchive, type ArchiveRequest } from "./write-archive.ts";
import { ZipEncoder } from "./zip.ts";

export const archiveContentTypes = {
  zip: "application/zip",
  tar: "application/x-tar",
  "tar.gz": "application/gzip",
  "tar.zst": "application/zstd",
} as const satisfies Record<ArchiveFormat, string>;

/** Level 1 for both: a restore is waited for, and read once. Measured: gzip -6 takes twice as long for about a tenth less. */
const gzipLevel = 1;
const zstdLevel = 1;

type Compressor = ReturnType<typeof createGzip> | ReturnType<typeof createZstdCompress>;

/** The archive's bytes in that format; see writeArchive. */
export function encodeArchive(format: ArchiveFormat, request: ArchiveRequest): AsyncGenerator<Uint8Array, void, undefined> {
  const zip: EncoderFactory = (output) => new ZipEncoder(output);
  const tar: EncoderFactory = (output) => new TarEncoder(output);
  if (format === "zip") return writeArchive(request, zip);
  const plain = writeArchive(request, tar);
  if (format === "tar") return plain;
  return compress(
    plain,
    format === "tar.gz"
      ? createGzip({ level: gzipLevel, chunkSize: batchBytes })
      : createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: zstdLevel }, chunkSize: batchBytes }),
  );
}

/** Ends without the compressor's trailer when the source throws. The first chunk is flushed through: bytes flow at once. */
async function* compress(source: AsyncGenerator<Uint8Array, void, undefined>, compressor: Compressor): AsyncGenerator<Uint8Array, void, undefined> {
  const feeding = feed(source, compressor);
  try {
    for await (const chunk of compressor) yield chunk as Buffer;
    await feeding;
  } finally {
    compressor.destroy();
    await feeding.catch(() => undefined);
  }
}

/** Where it fails the compressor is destroyed with the error, so that whoever reads it gets it. */
async function feed(source: AsyncGenerator<Uint8Array, void, undefined>, compressor: Compressor): Promise<void> {
  let isFirst = true;
  try {
    for await (const chunk of source) {
      if (compressor.destroyed) return;
      // Called back when the chunk was taken, or with an error when the compressor is destroyed.
      const taken = new Promise<void>((resolve) => compressor.write(chunk, () => resolve()));
      if (isFirst) compressor.flush();
      isFirst = false;
      await taken;
    }
    compressor.end();
  } catch (error) {
    compressor.destroy(error instanceof Error ? error : new Error("archive failed", { cause: error }));
  }
}
