// A record of the XFS log: one sector of header or more, then data. The log is a ring of 512-byte blocks, and the
// first word of each block holds the number of its round, the cycle; the words it replaced stand in the header.
// Source: "XFS Algorithms & Data Structures" (journaling log), Linux fs/xfs/libxfs/xfs_log_format.h
// (xlog_rec_header, xlog_rec_ext_header).
//
// Offset | Size | Field        | Meaning
// 0      | 4    | h_magicno    | 0xfeedbabe
// 4      | 4    | h_cycle      |
// 8      | 4    | h_version    | 1, or 2
// 12     | 4    | h_len        | bytes of data
// 16     | 8    | h_lsn        | cycle and block of this record
// 24     | 8    | h_tail_lsn   | of the oldest record that was still needed
// 32     | 4    | h_crc        | crc32c, little-endian; 0: none
// 40     | 4    | h_num_logops | operations in the data
// 44     | 256  | h_cycle_data | first words of the first 64 blocks of data
// 300    | 4    | h_fmt        | 1: little-endian Linux, whose log this reader replays
// 304    | 16   | h_fs_uuid    |
// 320    | 4    | h_size       | bytes of the buffers that records are written from, version 2
// Further header blocks, one for each 32 KiB of h_size after the first:
// 0      | 4    | xh_cycle     |
// 4      | 256  | xh_cycle_data| first words of the next 64 blocks
import { crc32cUpdate } from "../../../blocks/crc32c.ts";
import { hasBytes } from "../block-header.ts";

/** The unit of the log, whatever the sector size. */
export const logBlockBytes = 512;
export const recordMagic = 0xfeedbabe;
const formatLinuxLittleEndian = 1;
const wordsPerHeader = 64;
const cycleDataOffset = 44;
const extendedCycleDataOffset = 4;
const crcOffset = 32;
/** sizeof(struct xlog_rec_header): 324, where 8-byte numbers need no alignment, and 328 elsewhere. */
const checksummedHeaderSizes = [328, 324];
const checksummedExtendedHeaderBytes = 260;
const bytesPerHeader = wordsPerHeader * logBlockBytes;

export interface RecordHeader {
  readonly cycle: number;
  readonly version: number;
  /** Bytes of data. */
  readonly length: number;
  readonly lsn: bigint;
  readonly tailBlock: number;
  readonly operationCount: number;
  /** Of the buffer it was written from. */
  readonly bufferBytes: number;
}

/** The cycle that a block belongs to. */
export function readCycle(block: Buffer): number {
  const first = block.readUInt32BE(0);
  return first === recordMagic ? block.readUInt32BE(4) : first;
}

export function isRecordHeader(block: Buffer): boolean {
  return block.readUInt32BE(0) === recordMagic;
}

export function parseRecordHeader(block: Buffer): RecordHeader {
  return {
    cycle: block.readUInt32BE(4),
    version: block.readUInt32BE(8),
    length: block.readUInt32BE(12),
    lsn: block.readBigUInt64BE(16),
    tailBlock: block.readUInt32BE(28),
    operationCount: block.readUInt32BE(40),
    bufferBytes: block.readUInt32BE(320),
  };
}

/** What makes a header one of another filesystem or machine, or undefined. */
export function findForeignHeader(block: Buffer, uuid: Uint8Array): string | undefined {
  const format = block.readUInt32BE(300);
  if (format !== formatLinuxLittleEndian && format !== 0) return `h_fmt ${format}, expected 1: the log of a machine of another byte order`;
  const own = block.subarray(304, 320);
  if (!hasBytes(block, 304, uuid) && own.some((byte) => byte !== 0)) return "the uuid of another filesystem";
  return undefined;
}

/** Blocks of header before the data. */
export function headerBlocks(header: RecordHeader): number {
  if ((header.version & 2) === 0) return 1;
  return Math.max(1, Math.ceil(header.bufferBytes / bytesPerHeader));
}

/** Blocks of data. */
export function dataBlocks(header: RecordHeader): number {
  return Math.ceil(header.length / logBlockBytes);
}

/**
 * Whether the checksum of a record as it lies on the disk is right.
 * @returns "none" where it carries none
 */
export function checkRecord(headers: Buffer, data: Buffer, header: RecordHeader): "right" | "wrong" | "none" {
  const stored = headers.readUInt32LE(crcOffset);
  if (stored === 0) return "none";
  return checksummedHeaderSizes.some((size) => computeChecksum(headers, data, header, size) === stored) ? "right" : "wrong";
}

function computeChecksum(headers: Buffer, data: Buffer, header: RecordHeader, headerBytes: number): number {
  let crc = crc32cUpdate(0xffffffff, headers, 0, crcOffset);
  crc = crc32cUpdate(crc, new Uint8Array(4));
  crc = crc32cUpdate(crc, headers, crcOffset + 4, headerBytes);
  if ((header.version & 2) !== 0) {
    const extended = Math.ceil(header.length / bytesPerHeader);
    for (let index = 1; index < extended; index++) {
      const at = index * logBlockBytes;
      // More data than its headers have words for: no checksum can be right.
      if (at + checksummedExtendedHeaderBytes > headers.length) return -1;
      crc = crc32cUpdate(crc, headers, at, at + checksummedExtendedHeaderBytes);
    }
  }
  return ~crc32cUpdate(crc, data, 0, header.length) >>> 0;
}

/** Puts the first word of each block back in place. */
export function unpackData(headers: Buffer, data: Buffer): void {
  const blocks = Math.floor(data.length / logBlockBytes);
  for (let block = 0; block < blocks; block++) {
    const index = Math.floor(block / wordsPerHeader);
    const start = index === 0 ? cycleDataOffset : index * logBlockBytes + extendedCycleDataOffset;
    const from = start + (block % wordsPerHeader) * 4;
    if (from + 4 > headers.length) return;
    headers.copy(data, block * logBlockBytes, from, from + 4);
  }
}
