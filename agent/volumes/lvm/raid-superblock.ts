// What device-mapper's raid target notes on each image's metadata volume. Source: the Linux kernel's
// drivers/md/dm-raid.c, struct dm_raid_superblock; all numbers little-endian.
//
//   Offset | Size | Field             | Meaning
//   0      | 4    | magic             | "DmRd" (0x64526d44); anything else: the image is new
//   4      | 4    | compat features   | 1: the fields from 60 on are there
//   16     | 8    | events            | the highest is the newest
//   24     | 8    | failed devices    | a bit for each of the first 64 images
//   32     | 8    | recovery offset   | up to where the image is filled, in sectors; all ones when it is
//   40     | 8    | resync offset     | up to where the images agree, in sectors; all ones when they do
//   60     | 4    | flags             | 1: being reshaped
//   120    | 24   | failed devices    | of the next 192 images
//   144    | 4    | incompat features | none is known
import { toByteString } from "../../filesystems/byte-string.ts";

export const RAID_SUPERBLOCK_BYTES = 512;
const ALL = 0xffff_ffff_ffff_ffffn;

export interface RaidSuperblock {
  readonly events: bigint;
  readonly isRecovered: boolean;
  /** False when the images were not yet made to agree: parity and copies beyond the first may be wrong. */
  readonly isInSync: boolean;
  readonly isReshaping: boolean;
  readonly incompatible: number;
  /** True when this image left the array. */
  failed(slot: number): boolean;
}

/** Undefined where there is none yet. */
export function parseRaidSuperblock(bytes: Uint8Array): RaidSuperblock | undefined {
  if (toByteString(bytes, 0, 4) !== "DmRd") return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, RAID_SUPERBLOCK_BYTES);
  const isExtended = (view.getUint32(4, true) & 1) !== 0;
  const words = [24, 120, 128, 136].map((at, index) => (index === 0 || isExtended ? view.getBigUint64(at, true) : 0n));
  return {
    events: view.getBigUint64(16, true),
    isInSync: view.getBigUint64(40, true) === ALL,
    isRecovered: view.getBigUint64(32, true) === ALL,
    isReshaping: isExtended && (view.getUint32(60, true) & 1) !== 0,
    incompatible: isExtended ? view.getUint32(144, true) : 0,
    failed: (slot) => ((words[slot >> 6] ?? 0n) & (1n << BigInt(slot & 63))) !== 0n,
  };
}
