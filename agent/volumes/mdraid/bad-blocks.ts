// The log of a member's bad blocks. Source: the kernel's drivers/md/md.c, super_1_load.
//
// Entries of 8 bytes, little-endian: the first sector of the device (54 bits) << 10 | sectors (10 bits), both to be
// shifted left by what the superblock says; all ones end the log.
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { BadRanges } from "../raid/bad-ranges.ts";
import type { MdSuperblock } from "./superblock.ts";

const ALL = 0xffff_ffff_ffff_ffffn;
const SECTOR = 512;
/** The kernel refuses more than a page. */
const MAX_LOG_BYTES = 4096;

/** What of a member's data was never written there: md reads it from the other members. Undefined where there is nothing. */
export async function readBadBlocks(source: BlockSource, { badBlocks, dataOffset }: MdSuperblock): Promise<BadRanges | undefined> {
  if (badBlocks === undefined) return undefined;
  const { offset, bytes: size, shift } = badBlocks;
  if (offset < 0 || size > MAX_LOG_BYTES || offset + size > source.sizeBytes || shift > 32) {
    throw corrupt("md log of bad blocks", offset, `${size} bytes, shifted by ${shift}, on a device of ${source.sizeBytes}`);
  }
  const bytes = await source.read(offset, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ranges: { start: number; end: number }[] = [];
  for (let at = 0; at + 8 <= size; at += 8) {
    const entry = view.getBigUint64(at, true);
    if (entry === ALL) break;
    const start = Number((entry >> 10n) << BigInt(shift)) * SECTOR - dataOffset;
    ranges.push({ start, end: start + Number((entry & 0x3ffn) << BigInt(shift)) * SECTOR });
  }
  return ranges.length === 0 ? undefined : new BadRanges(ranges);
}
