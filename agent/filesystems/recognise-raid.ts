// Superblocks at the end of a device: Linux software RAID 0.90 and 1.0 (include/uapi/linux/raid/md_p.h).
//
//   Version | Offset of the superblock                                | Magic
//   0.90    | size rounded down to 64 KiB, minus 64 KiB               | a92b4efc, in the byte order of the machine
//   1.0     | size minus 8 KiB, rounded down to 4 KiB                 | a92b4efc, little-endian
//
// The start of such a member looks like the start of the array, filesystem included: only the end tells.
import type { BlockSource } from "../blocks/block-source.ts";
import type { Recognised } from "./recognise.ts";

const RAID_MAGIC = 0xa92b4efc;

const member: Recognised = { kind: "container", type: "linux_raid_member", title: "Linux software RAID member" };

/** Throws only "io_error". */
export async function findRaidSuperblock(source: BlockSource): Promise<Recognised | undefined> {
  const old = Math.floor(source.sizeBytes / 65536) * 65536 - 65536;
  const current = Math.floor((source.sizeBytes - 8192) / 4096) * 4096;
  if (old > 0) {
    const magic = await readWord(source, old);
    if (magic.getUint32(0, true) === RAID_MAGIC || magic.getUint32(0, false) === RAID_MAGIC) return member;
  }
  if (current > 0 && (await readWord(source, current)).getUint32(0, true) === RAID_MAGIC) return member;
  return undefined;
}

async function readWord(source: BlockSource, offset: number): Promise<DataView> {
  const bytes = await source.read(offset, 4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4);
}
