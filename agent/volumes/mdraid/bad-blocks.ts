// The log of a member's bad blocks. Source: the kernel's drivers/md/md.c, super_1_load.
//
// Entries of 8 bytes, little-endian: the first sector (54 bits) << 10 | sectors (10 bits); all ones end the log.
import type { BlockSource } from "../../blocks/block-source.ts";
import type { MdSuperblock } from "./superblock.ts";

const ALL = 0xffff_ffff_ffff_ffffn;
/** The kernel writes one page. */
const MAX_LOG_BYTES = 4096;

/** True when the log has an entry: such a member is then not used, since some of its blocks hold old bytes. */
export async function hasBadBlocks(source: BlockSource, { badBlocks }: MdSuperblock): Promise<boolean> {
  if (badBlocks === undefined || badBlocks.offset < 0 || badBlocks.offset + 8 > source.sizeBytes) return false;
  const bytes = await source.read(badBlocks.offset, Math.min(badBlocks.bytes, MAX_LOG_BYTES, source.sizeBytes - badBlocks.offset));
  const first = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
  return first !== ALL && first !== 0n;
}
