// The four checksums of btrfs, for tree nodes, superblocks and data. Source: Linux fs/btrfs/fs.h
// (btrfs_csum_type) and the btrfs on-disk format pages: 0 crc32c, 1 xxhash64 (seed 0, little-endian),
// 2 sha256, 3 blake2b with 256 bits.
import { hash } from "node:crypto";
import { createBLAKE2b, createXXHash64 } from "hash-wasm";
import { crc32c } from "../../blocks/crc32c.ts";
import { unsupported } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";

export interface Checksum {
  readonly name: string;
  /** Of the stored value: 4, 8 or 32. */
  readonly sizeBytes: number;
  /** Whether bytes [start, end) have the checksum stored in `stored` at `at`. */
  matches(bytes: Uint8Array, start: number, end: number, stored: Buffer, at: number): boolean;
}

const crc: Checksum = {
  name: "crc32c",
  sizeBytes: 4,
  matches: (bytes, start, end, stored, at) => crc32c(bytes, start, end) === stored.readUInt32LE(at),
};

const sha256: Checksum = {
  name: "sha256",
  sizeBytes: 32,
  matches: (bytes, start, end, stored, at) => equals(hash("sha256", bytes.subarray(start, end), "buffer"), stored, at),
};

/** The checksum by its number in the superblock. Throws "unsupported" for numbers that have none. */
export async function openChecksum(type: number): Promise<Checksum> {
  switch (type) {
    case 0:
      return crc;
    case 1: {
      const hasher = await createXXHash64();
      return {
        name: "xxhash64",
        sizeBytes: 8,
        matches: (bytes, start, end, stored, at) => {
          // The library gives the number with its highest byte first; the disk holds it the other way round.
          const digest = asBuffer(hasher.init().update(bytes.subarray(start, end)).digest("binary"));
          return digest.readUInt32BE(4) === stored.readUInt32LE(at) && digest.readUInt32BE(0) === stored.readUInt32LE(at + 4);
        },
      };
    }
    case 2:
      return sha256;
    case 3: {
      const hasher = await createBLAKE2b(256);
      return {
        name: "blake2b",
        sizeBytes: 32,
        matches: (bytes, start, end, stored, at) => equals(hasher.init().update(bytes.subarray(start, end)).digest("binary"), stored, at),
      };
    }
    default:
      throw unsupported(`btrfs checksum type ${type}`);
  }
}

function equals(digest: Uint8Array, stored: Buffer, at: number): boolean {
  return stored.compare(digest, 0, digest.length, at, at + digest.length) === 0;
}
