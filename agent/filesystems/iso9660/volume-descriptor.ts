// Volume descriptors. Source: ECMA-119, 8 (8.4 primary, 8.5 supplementary); Microsoft's Joliet specification. Which
// descriptors count: the Linux kernel's fs/isofs/inode.c; label and UUID: libblkid's iso9660 prober.
//
//   Offset | Size | Field              | Meaning
//   0      | 1    | type               | 0 boot record, 1 primary, 2 supplementary, 255 the last
//   1      | 5    | identifier         | "CD001"
//   40     | 32   | volume identifier  | the label; Joliet: UTF-16
//   80     | 8    | volume space size  | in blocks, both endians
//   88     | 32   | escape sequences   | supplementary: "%/@", "%/C" or "%/E" says Joliet
//   128    | 4    | block size         | both endians: 512, 1024 or 2048
//   156    | 34   | root directory     | its record
//   813    | 17   | creation date      | see iso-date.ts
//   830    | 17   | modification date  |
import { corrupt } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { parseDirectoryRecord } from "./directory-record.ts";
import { decodeUtf16 } from "./iso-name.ts";

export const SECTOR_BYTES = 2048;
/** Sectors 0 to 15 belong to the system. */
export const FIRST_DESCRIPTOR_SECTOR = 16;
/** Linux looks no further for descriptors. */
export const END_DESCRIPTOR_SECTOR = 100;

const ROOT_RECORD_OFFSET = 156;
const ROOT_RECORD_BYTES = 34;

export type DescriptorType = "boot" | "primary" | "supplementary" | "last" | "other";

export interface VolumeDescriptor {
  readonly isJoliet: boolean;
  readonly blockBytes: number;
  readonly blockCount: number;
  /** Where the root directory starts. */
  readonly rootBlock: number;
  /** The raw 32 bytes of the volume identifier. */
  readonly identifier: Uint8Array;
  readonly uuid: string | undefined;
}

const types: ReadonlyMap<number, DescriptorType> = new Map([[0, "boot"], [1, "primary"], [2, "supplementary"], [255, "last"]]);

/** Undefined when the sector holds no descriptor. */
export function descriptorType(sector: Uint8Array): DescriptorType | undefined {
  if (sector.length < SECTOR_BYTES || asBuffer(sector).toString("latin1", 1, 6) !== "CD001") return undefined;
  return types.get(sector[0]!) ?? "other";
}

/** The mark of UDF's volume recognition sequence, which stands among the descriptors of a disk that carries both. */
export function isUdfDescriptor(sector: Uint8Array): boolean {
  const identifier = asBuffer(sector).toString("latin1", 1, 6);
  return identifier === "NSR02" || identifier === "NSR03";
}

export function isJoliet(sector: Uint8Array): boolean {
  return ["%/@", "%/C", "%/E"].includes(asBuffer(sector).toString("latin1", 88, 91));
}

/** @param offsetBytes where the sector lies. Throws "corrupt" for what Linux does not mount. */
export function parseVolumeDescriptor(sector: Uint8Array, offsetBytes: number): VolumeDescriptor {
  const view = new DataView(sector.buffer, sector.byteOffset, SECTOR_BYTES);
  const blockBytes = view.getUint16(128, true);
  if (blockBytes !== 512 && blockBytes !== 1024 && blockBytes !== 2048) {
    throw corrupt("ISO 9660 volume descriptor", offsetBytes + 128, `block size ${blockBytes}, expected 512, 1024 or 2048`);
  }
  const root = parseDirectoryRecord(sector.subarray(ROOT_RECORD_OFFSET, ROOT_RECORD_OFFSET + ROOT_RECORD_BYTES), offsetBytes + ROOT_RECORD_OFFSET);
  if (root === undefined) {
    throw corrupt("ISO 9660 volume descriptor", offsetBytes + ROOT_RECORD_OFFSET, `root directory's name of ${sector[ROOT_RECORD_OFFSET + 32]!} bytes, expected 1`);
  }
  return {
    isJoliet: isJoliet(sector),
    blockBytes,
    blockCount: view.getUint32(80, true),
    rootBlock: root.firstBlock,
    identifier: Uint8Array.from(sector.subarray(40, 72)),
    uuid: toUuid(sector.subarray(830, 847)) ?? toUuid(sector.subarray(813, 830)),
  };
}

/** As blkid: the date's digits with dashes; undefined for a date that is not set. */
function toUuid(date: Uint8Array): string | undefined {
  const digits = asBuffer(date).toString("latin1", 0, 16);
  if ((digits === "0".repeat(16) && date[16] === 0) || !/^[ -~]{16}$/.test(digits)) return undefined;
  const parts = [digits.slice(0, 4), ...(digits.slice(4).match(/../gs) ?? [])];
  return parts.join("-");
}

/** The label as blkid prints it: Joliet holds 16 characters of any kind, the primary descriptor 32 of ASCII. */
export function toLabel(primary: Uint8Array, joliet: Uint8Array | undefined): string | undefined {
  const label = joliet === undefined ? endAtZero(asBuffer(primary).toString("utf8")) : (mergeLabels(joliet, primary) ?? decodeUtf16(joliet));
  const trimmed = label.trimEnd();
  return trimmed === "" ? undefined : trimmed;
}

/**
 * Joliet's label is the beginning of the other one with the letters that the other had to write as "_" or in upper
 * case; undefined when it is not.
 */
function mergeLabels(joliet: Uint8Array, primary: Uint8Array): string | undefined {
  const wide = Array.from({ length: joliet.length >>> 1 }, (_, index) => (joliet[index * 2]! << 8) | joliet[index * 2 + 1]!);
  const merged: number[] = [];
  let at = 0;
  let position = 0;
  for (; at < wide.length && position < primary.length; at += 1, position += 1) {
    if (isHighSurrogate(wide[at]!) && at + 1 < wide.length && isLowSurrogate(wide[at + 1]!)) {
      merged.push(wide[at]!);
      at += 1;
    }
    const unit = wide[at]!;
    const byte = primary[position]!;
    if (byte === 0x5f) merged.push(unit);
    else if (unit === 0x5f) merged.push(byte);
    else if (unit <= 0x7f && upperCase(unit) === upperCase(byte)) merged.push(byte >= 0x41 && byte <= 0x5a ? unit : byte);
    else return undefined;
  }
  merged.push(...primary.subarray(position), ...wide.slice(at));
  return endAtZero(String.fromCharCode(...merged).toWellFormed());
}

function endAtZero(text: string): string {
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function upperCase(unit: number): number {
  return unit >= 0x61 && unit <= 0x7a ? unit - 0x20 : unit;
}
