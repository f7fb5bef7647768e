// The label and header of an LVM2 physical volume. Source: lvm2's lib/label/label.h and
// lib/format_text/layout.h; all numbers little-endian.
//
// The label, in one of the first four sectors:
//   Offset | Size | Field   | Meaning
//   0      | 8    | id      | "LABELONE"
//   8      | 8    | sector  | its own number
//   16     | 4    | crc     | of all that follows, to the end of the sector
//   20     | 4    | offset  | of the header, from the label
//   24     | 8    | type    | "LVM2 001"
//
// The header:
//   0      | 32   | uuid         | of the physical volume
//   32     | 8    | device size  | in bytes
//   40     | 16 n | data areas   | pairs of offset and size in bytes, ended by an empty pair
//          | 16 n | metadata areas | likewise
//          | 4    | extension    | version of what follows; 0 where nothing does
//          | 4    | flags        | from version 2 on: 1 when a volume group uses it
//          | 16 n | boot loader areas | not needed here
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { toByteString } from "../../filesystems/byte-string.ts";
import { lvmCrc } from "./crc.ts";

export interface Area {
  readonly offset: number;
  readonly size: number;
}

export interface PhysicalVolumeLabel {
  /** 32 characters, without dashes. */
  readonly uuid: string;
  readonly deviceBytes: number;
  readonly metadataAreas: readonly Area[];
  /** False when it belongs to no volume group; undefined when the label is too old to tell. */
  readonly isUsed: boolean | undefined;
}

const SECTOR = 512;
const LABEL_SECTORS = 4;
const HEADER_BYTES = 40;
const FIRST_EXTENSION_WITH_USE = 2;
const FLAG_USED = 1;
/** LVM writes at most two metadata areas and one data area; a sector holds no more than these. */
const MAX_AREAS = 28;

/** The label; undefined when none of the first sectors holds one. Throws "corrupt" when the only ones there are damaged. */
export async function readLabel(source: BlockSource): Promise<PhysicalVolumeLabel | undefined> {
  const head = await source.read(0, Math.min(LABEL_SECTORS * SECTOR, Math.floor(source.sizeBytes / SECTOR) * SECTOR));
  let damage: unknown;
  for (let sector = 0; (sector + 1) * SECTOR <= head.length; sector += 1) {
    const bytes = head.subarray(sector * SECTOR, (sector + 1) * SECTOR);
    if (toByteString(bytes, 0, 8) !== "LABELONE" || toByteString(bytes, 24, 32) !== "LVM2 001") continue;
    try {
      return parseLabel(bytes, sector);
    } catch (error) {
      damage ??= error;
    }
  }
  if (damage !== undefined) throw damage;
  return undefined;
}

/** @param bytes one sector that begins with "LABELONE" */
export function parseLabel(bytes: Uint8Array, sector: number): PhysicalVolumeLabel {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = sector * SECTOR;
  const stored = view.getUint32(16, true);
  const computed = lvmCrc(bytes.subarray(20));
  if (stored !== computed) throw corrupt("LVM2 label", at, `checksum 0x${stored.toString(16)}, computed 0x${computed.toString(16)}`);
  if (view.getBigUint64(8, true) !== BigInt(sector)) throw corrupt("LVM2 label", at, `it says sector ${view.getBigUint64(8, true)}`);
  const header = view.getUint32(20, true);
  if (header < 32 || header > SECTOR - HEADER_BYTES - 32) throw corrupt("LVM2 label", at, `header at ${header}`);
  let position = header + HEADER_BYTES;
  const areas = (): Area[] => {
    const found: Area[] = [];
    for (let count = 0; count < MAX_AREAS && position + 16 <= SECTOR; count += 1) {
      const offset = Number(view.getBigUint64(position, true));
      const size = Number(view.getBigUint64(position + 8, true));
      position += 16;
      if (offset === 0) return found;
      if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(size)) throw corrupt("LVM2 physical volume header", at + header, `area of ${size} bytes at ${offset}`);
      found.push({ offset, size });
    }
    throw corrupt("LVM2 physical volume header", at + header, "its list of areas has no end");
  };
  areas();
  const metadataAreas = areas();
  const hasUse = position + 8 <= SECTOR && view.getUint32(position, true) >= FIRST_EXTENSION_WITH_USE;
  const isUsed = hasUse ? (view.getUint32(position + 4, true) & FLAG_USED) !== 0 : undefined;
  return { uuid: toByteString(bytes, header, header + 32), deviceBytes: Number(view.getBigUint64(header + 32, true)), metadataAreas, isUsed };
}
