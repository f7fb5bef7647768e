// The GPT header. Source: UEFI specification 2.10, section 5.3.2, table 5.5.
//
//   Offset | Size | Field                | Meaning
//   0      | 8    | signature            | "EFI PART"
//   8      | 4    | revision             | 00 00 01 00
//   12     | 4    | header size          | bytes covered by the header's CRC, 92 to one sector
//   16     | 4    | header CRC32         | over the header with this field as zero
//   24     | 8    | own LBA              | where this header lies
//   32     | 8    | alternate LBA        | where the other header lies
//   40     | 8    | first usable LBA     |
//   48     | 8    | last usable LBA      | inclusive
//   56     | 16   | disk GUID            |
//   72     | 8    | entries LBA          | where the array of entries starts
//   80     | 4    | entry count          |
//   84     | 4    | entry size           | 128 or a multiple
//   88     | 4    | entries CRC32        | over count × size bytes
import { crc32 } from "node:zlib";
import { corrupt } from "../blocks/disk-error.ts";

export interface GptHeader {
  readonly alternateLba: bigint;
  readonly entriesOffsetBytes: number;
  readonly entryCount: number;
  readonly entrySizeBytes: number;
  readonly entriesCrc32: number;
}

const SIGNATURE = "EFI PART";
const MIN_HEADER_BYTES = 92;
const MIN_ENTRY_BYTES = 128;
/** No tool makes more than a few hundred; a table within this fits in 1 MiB at the usual size. */
const MAX_ENTRIES = 8192;
/** The kernel refuses tables above 4 MiB too (its largest allocation). */
const MAX_ENTRIES_BYTES = 4 * 1024 * 1024;

/** True when the sector at least claims to be a GPT header. */
export function hasGptSignature(sector: Uint8Array): boolean {
  return sector.length >= MIN_HEADER_BYTES && Buffer.from(sector.buffer, sector.byteOffset, 8).toString("latin1") === SIGNATURE;
}

/**
 * Checks and reads a header. Throws "corrupt".
 * @param sector one whole sector
 * @param lba where it was read
 */
export function parseGptHeader(sector: Uint8Array, lba: number): GptHeader {
  const sectorBytes = sector.length;
  const offset = lba * sectorBytes;
  const view = new DataView(sector.buffer, sector.byteOffset, sector.length);
  if (!hasGptSignature(sector)) throw corrupt("GPT header", offset, `no signature "${SIGNATURE}"`);
  const headerBytes = view.getUint32(12, true);
  if (headerBytes < MIN_HEADER_BYTES || headerBytes > sectorBytes) {
    throw corrupt("GPT header", offset, `header size ${headerBytes}, expected ${MIN_HEADER_BYTES} to ${sectorBytes}`);
  }
  const covered = Uint8Array.from(sector.subarray(0, headerBytes));
  covered.fill(0, 16, 20);
  const expectedCrc = view.getUint32(16, true);
  const actualCrc = crc32(covered);
  if (actualCrc !== expectedCrc) throw corrupt("GPT header", offset, `CRC32 ${hex(actualCrc)}, expected ${hex(expectedCrc)}`);
  const ownLba = view.getBigUint64(24, true);
  if (ownLba !== BigInt(lba)) throw corrupt("GPT header", offset, `says it lies at LBA ${ownLba}, expected ${lba}`);
  const entryCount = view.getUint32(80, true);
  const entrySizeBytes = view.getUint32(84, true);
  if (entrySizeBytes < MIN_ENTRY_BYTES || entrySizeBytes % MIN_ENTRY_BYTES !== 0) {
    throw corrupt("GPT header", offset, `entry size ${entrySizeBytes}, expected a multiple of ${MIN_ENTRY_BYTES}`);
  }
  if (entryCount > MAX_ENTRIES || entryCount * entrySizeBytes > MAX_ENTRIES_BYTES) {
    throw corrupt("GPT header", offset, `${entryCount} entries of ${entrySizeBytes} bytes, at most ${MAX_ENTRIES} in ${MAX_ENTRIES_BYTES} bytes are read`);
  }
  const entriesOffset = view.getBigUint64(72, true) * BigInt(sectorBytes);
  if (entriesOffset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw corrupt("GPT header", offset, `entries at byte ${entriesOffset}, beyond any disk`);
  }
  return {
    alternateLba: view.getBigUint64(32, true),
    entriesOffsetBytes: Number(entriesOffset),
    entryCount,
    entrySizeBytes,
    entriesCrc32: view.getUint32(88, true),
  };
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
