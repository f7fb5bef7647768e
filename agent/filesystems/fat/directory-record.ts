// A directory record. Source: fatgen103, "FAT 32 Byte Directory Entry Structure".
//
//   Offset | Size | Field           | Meaning
//   0      | 11   | short name      | first byte 0: free, 0xe5: deleted
//   11     | 1    | attributes      | 0x01 read-only, 0x02 hidden, 0x04 system, 0x08 label, 0x10 directory; 0x0f: part of a long name
//   12     | 1    | case            | see short-name.ts
//   13     | 1    | creation        | hundredths of a second, 0 to 199
//   14     | 2    | creation time   |
//   16     | 2    | creation date   | 0: not stored
//   18     | 2    | access date     | 0: not stored
//   20     | 2    | cluster, high   | FAT32 only
//   22     | 2    | write time      |
//   24     | 2    | write date      |
//   26     | 2    | cluster, low    |
//   28     | 4    | size            | in bytes; 0 for directories
import type { DiskError } from "../../blocks/disk-error.ts";
import type { FatBits } from "./boot-sector.ts";
import { fatSeconds } from "./fat-time.ts";

export const RECORD_BYTES = 32;
export const ATTRIBUTE_READ_ONLY = 0x01;
export const ATTRIBUTE_LABEL = 0x08;
export const ATTRIBUTE_DIRECTORY = 0x10;
export const ATTRIBUTE_LONG_NAME = 0x0f;
export const DELETED = 0xe5;

/** What a node of this filesystem is: its directory record, read. */
export interface FatNode {
  /** Where the record lies on the volume, in bytes: unique, and the same each time. 0 is the root. */
  readonly id: number;
  readonly isDirectory: boolean;
  readonly isReadOnly: boolean;
  /** 0: none. */
  readonly firstCluster: number;
  /** In bytes; 0 for directories. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly modifiedSeconds: number;
  /** Raw, for `details`: creation date and time (16 bits each), hundredths, access date. */
  readonly creationDateTime: number;
  readonly creationHundredths: number;
  readonly accessDate: number;
  /** Set on a node that stands for records that could not be read. */
  readonly damage?: DiskError;
}

/** @param recordOffset where the record lies on the volume, in bytes */
export function parseDirectoryRecord(bytes: Uint8Array, at: number, recordOffset: number, fatBits: FatBits): FatNode {
  const attributes = bytes[at + 11]!;
  const isDirectory = (attributes & ATTRIBUTE_DIRECTORY) !== 0;
  const clusterLow = word(bytes, at + 26);
  const clusterHigh = fatBits === 32 ? word(bytes, at + 20) : 0;
  return {
    id: recordOffset,
    isDirectory,
    isReadOnly: (attributes & ATTRIBUTE_READ_ONLY) !== 0,
    firstCluster: clusterHigh * 65_536 + clusterLow,
    size: isDirectory ? 0 : word(bytes, at + 30) * 65_536 + word(bytes, at + 28),
    modifiedSeconds: fatSeconds(word(bytes, at + 24), word(bytes, at + 22)),
    creationDateTime: word(bytes, at + 16) * 65_536 + word(bytes, at + 14),
    creationHundredths: bytes[at + 13]!,
    accessDate: word(bytes, at + 18),
  };
}

/** The root has no record; Linux shows it as of 1970. */
export const rootNode: FatNode = {
  id: 0,
  isDirectory: true,
  isReadOnly: false,
  firstCluster: 0,
  size: 0,
  modifiedSeconds: 0,
  creationDateTime: 0,
  creationHundredths: 0,
  accessDate: 0,
};

/** For errors. */
export function describe(node: FatNode): string {
  if (node === rootNode) return "FAT root directory";
  return `FAT ${node.isDirectory ? "directory" : "file"} (record at byte ${node.id})`;
}

/** Stands in a listing for the part of a directory that is lost; it has no attributes, so its id is never seen. */
export function damagedNode(damage: DiskError): FatNode {
  return { ...rootNode, id: -1, isDirectory: false, damage };
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}
