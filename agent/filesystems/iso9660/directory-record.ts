// A directory record. Source: ECMA-119, 9.1.
//
//   Offset | Size | Field             | Meaning
//   0      | 1    | length            | of the record; 0: no more records in this sector
//   1      | 1    | XAR length        | blocks of extended attributes before the data
//   2      | 8    | extent            | first block, little- then big-endian
//   10     | 8    | data length       | in bytes, both endians
//   18     | 7    | date              | see iso-date.ts
//   25     | 1    | flags             | 1 hidden, 2 directory, 4 associated, 0x80 more records of this file follow
//   26     | 1    | file unit size    | not 0: interleaved
//   27     | 1    | gap size          | not 0: interleaved
//   28     | 4    | volume sequence   |
//   32     | 1    | name length       |
//   33     |      | name              | padded to an even end; then the system use area (see system-use.ts)
import type { Timestamp } from "../filesystem.ts";
import { parseShortDate } from "./iso-date.ts";

export const RECORD_HEADER_BYTES = 33;
export const MAX_RECORD_BYTES = 255;

const FLAG_DIRECTORY = 0x02;
const FLAG_ASSOCIATED = 0x04;
const FLAG_MORE = 0x80;

export interface DirectoryRecord {
  /** From the start of the volume, in bytes. */
  readonly offsetBytes: number;
  /** First block of the data, behind extended attributes. */
  readonly firstBlock: number;
  readonly sizeBytes: number;
  readonly date: Timestamp;
  readonly isDirectory: boolean;
  /** Belongs to the file of the same name (a resource fork); Linux shows no such file. */
  readonly isAssociated: boolean;
  /** Another record of the same file follows. */
  readonly isContinued: boolean;
  readonly isInterleaved: boolean;
  readonly name: Uint8Array;
  readonly systemUse: Uint8Array;
}

/**
 * @param bytes one whole record: as many bytes as its first byte says
 * @returns undefined when its name doesn't fit into it
 */
export function parseDirectoryRecord(bytes: Uint8Array, offsetBytes: number): DirectoryRecord | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const nameEnd = RECORD_HEADER_BYTES + bytes[32]!;
  if (nameEnd > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = bytes[25]!;
  return {
    offsetBytes,
    firstBlock: view.getUint32(2, true) + bytes[1]!,
    sizeBytes: view.getUint32(10, true),
    date: parseShortDate(bytes, 18),
    isDirectory: (flags & FLAG_DIRECTORY) !== 0,
    isAssociated: (flags & FLAG_ASSOCIATED) !== 0,
    isContinued: (flags & FLAG_MORE) !== 0,
    isInterleaved: bytes[27] !== 0,
    name: bytes.subarray(RECORD_HEADER_BYTES, nameEnd),
    systemUse: bytes.subarray(Math.min(bytes.length, nameEnd + (nameEnd & 1))),
  };
}

export function isSelf(record: DirectoryRecord): boolean {
  return record.name.length === 1 && record.name[0] === 0;
}

export function isParent(record: DirectoryRecord): boolean {
  return record.name.length === 1 && record.name[0] === 1;
}
