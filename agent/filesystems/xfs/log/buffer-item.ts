// A buffer in the log: parts of a metadata block, in chunks of 128 bytes.
// Source: "XFS Algorithms & Data Structures" (buffer log items), Linux fs/xfs/libxfs/xfs_log_format.h
// (xfs_buf_log_format), little-endian.
//
// Offset | Size | Field        | Meaning
// 4      | 2    | blf_flags    | 0x1 unlinked pointers of inodes alone, 0x2 cancelled; bits 11 to 15: the block's type
// 6      | 2    | blf_len      | in units of 512 bytes
// 8      | 8    | blf_blkno    | address in units of 512 bytes
// 16     | 4    | blf_map_size | words of the map
// 20     | 4n   | blf_data_map | a bit for each chunk; each run of bits is a region that follows
import { corrupt } from "../../../blocks/disk-error.ts";
import type { LogItem } from "./transactions.ts";

const mapOffset = 20;
const chunkBytes = 128;
/** Words for a buffer of 64 KiB, and a little more that old kernels wrote. */
const maxMapWords = 32;
const maxBufferBlocks = 65536 / 512;
const flagBits = { inodeBuffer: 0x1, cancel: 0x2, userQuota: 0x4, projectQuota: 0x8, groupQuota: 0x10 } as const;

export interface BufferItem {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly isCancel: boolean;
  /** Only pointers between unlinked inodes, which no directory names. */
  readonly isInodeBuffer: boolean;
  readonly isQuota: boolean;
  /** What is to be written: chunks [at, at + bytes). */
  readonly parts: readonly { readonly at: number; readonly bytes: Buffer }[];
}

/** Tells one buffer from another: Linux counts its cancellations by address and length. */
export function bufferKey(offsetBytes: number, lengthBytes: number): string {
  return `${offsetBytes} ${lengthBytes}`;
}

export function parseBufferItem(item: LogItem): BufferItem {
  const format = item.regions[0]!;
  const fail = (found: string) => corrupt("XFS log buffer item", undefined, found);
  if (format.length < mapOffset) throw fail(`${format.length} bytes`);
  const flags = format.readUInt16LE(4);
  const blocks = format.readUInt16LE(6);
  const address = format.readBigInt64LE(8);
  const mapWords = format.readUInt32LE(16);
  if (address < 0n || address > 2n ** 44n) throw fail(`blkno ${address}`);
  if (blocks > maxBufferBlocks) throw fail(`${blocks} blocks, expected at most ${maxBufferBlocks}`);
  const common = {
    offsetBytes: Number(address) * 512,
    lengthBytes: blocks * 512,
    isCancel: (flags & flagBits.cancel) !== 0,
    isInodeBuffer: (flags & flagBits.inodeBuffer) !== 0,
    isQuota: (flags & (flagBits.userQuota | flagBits.projectQuota | flagBits.groupQuota)) !== 0,
  };
  if (common.isCancel) return { ...common, parts: [] };
  if (mapWords > maxMapWords || mapOffset + mapWords * 4 > format.length) throw fail(`a map of ${mapWords} words in ${format.length} bytes`);
  const isSet = (bit: number) => bit < mapWords * 32 && (format.readUInt32LE(mapOffset + (bit >>> 5) * 4) & (1 << (bit & 31))) !== 0;
  const parts: { at: number; bytes: Buffer }[] = [];
  let bit = 0;
  for (let region = 1; region < item.regions.length; region++) {
    while (bit < mapWords * 32 && !isSet(bit)) bit++;
    if (bit === mapWords * 32) break;
    let count = 0;
    while (isSet(bit + count)) count++;
    const data = item.regions[region]!;
    // A region shorter than its run of bits: the rest of the run is the next region's.
    count = Math.min(count, Math.floor(data.length / chunkBytes));
    if (count === 0) throw fail(`a region of ${data.length} bytes`);
    const at = bit * chunkBytes;
    if (at + count * chunkBytes > common.lengthBytes) throw fail(`chunk ${bit + count - 1} of ${common.lengthBytes} bytes`);
    parts.push({ at, bytes: data.subarray(0, count * chunkBytes) });
    bit += count;
  }
  return { ...common, parts };
}
