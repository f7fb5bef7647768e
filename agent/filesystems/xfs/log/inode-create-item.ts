// A chunk of inodes made anew, all of them free.
// Source: "XFS Algorithms & Data Structures" (inode creation log items), Linux fs/xfs/libxfs/xfs_log_format.h
// (xfs_icreate_log): big-endian but for the first four bytes.
//
// Offset | Size | Field      | Meaning
// 4      | 4    | icl_ag     | allocation group
// 8      | 4    | icl_agbno  | first block in it
// 12     | 4    | icl_count  | inodes
// 16     | 4    | icl_isize  | bytes of each
// 20     | 4    | icl_length | blocks
// 24     | 4    | icl_gen    | generation of each
import { corrupt } from "../../../blocks/disk-error.ts";
import { findBlockOffset } from "../addresses.ts";
import { computeChecksum } from "../block-header.ts";
import { crcOffset, inodeMagic } from "../inode.ts";
import type { Superblock } from "../superblock.ts";
import type { LogItem } from "./transactions.ts";

const formatBytes = 28;
const noNextUnlinked = 0xffffffff;
/** XFS_INODES_PER_CHUNK of Linux; larger blocks may hold more. */
const maxInodes = 256;

export interface InodeCreateItem {
  readonly firstInode: number;
  readonly offsetBytes: number;
  readonly count: number;
  readonly blocks: number;
  readonly generation: number;
}

export function parseInodeCreateItem(superblock: Superblock, item: LogItem): InodeCreateItem {
  const format = item.regions[0]!;
  const fail = (found: string) => corrupt("XFS log inode create item", undefined, found);
  if (format.length < formatBytes) throw fail(`${format.length} bytes`);
  const group = format.readUInt32BE(4);
  const block = format.readUInt32BE(8);
  const count = format.readUInt32BE(12);
  const size = format.readUInt32BE(16);
  const blocks = format.readUInt32BE(20);
  if (size !== superblock.inodeSizeBytes) throw fail(`inodes of ${size} bytes, expected ${superblock.inodeSizeBytes}`);
  if (count !== blocks * 2 ** superblock.inodesPerBlockLog || blocks === 0 || count > maxInodes) throw fail(`${count} inodes in ${blocks} blocks`);
  const number = group * 2 ** superblock.groupBlockLog + block;
  const offsetBytes = block < superblock.groupBlocks ? findBlockOffset(superblock, number, blocks) : undefined;
  if (offsetBytes === undefined) throw fail(`blocks ${block} and on of group ${group}, outside the volume`);
  return { firstInode: number * 2 ** superblock.inodesPerBlockLog, offsetBytes, count, blocks, generation: format.readUInt32BE(24) };
}

/** The bytes of the chunk. */
export function makeFreeInodes(superblock: Superblock, item: InodeCreateItem): Buffer {
  const size = superblock.inodeSizeBytes;
  const bytes = Buffer.alloc(item.count * size);
  for (let index = 0; index < item.count; index++) {
    const inode = bytes.subarray(index * size, (index + 1) * size);
    inode.writeUInt16BE(inodeMagic, 0);
    inode[4] = superblock.version === 5 ? 3 : 2;
    inode.writeUInt32BE(item.generation, 92);
    inode.writeUInt32BE(noNextUnlinked, 96);
    if (superblock.version !== 5) continue;
    inode.writeBigUInt64BE(BigInt(item.firstInode + index), 152);
    inode.set(superblock.metaUuid, 160);
    inode.writeUInt32LE(computeChecksum(inode, crcOffset), crcOffset);
  }
  return bytes;
}
