// Which kinds of metadata blocks carry a log sequence number and a checksum, and where.
// Source: the rules of Linux fs/xfs/xfs_buf_item_recover.c (xlog_recover_get_buf_lsn); layouts as in ../block-header.ts
// and "XFS Algorithms & Data Structures".
import type { HeaderLayout } from "../block-header.ts";
import { directoryHeader, extentTreeHeader, remoteValueHeader, symlinkHeader, treeHeader } from "../block-header.ts";

type BlockLayout = Pick<HeaderLayout, "crc" | "lsn" | "uuid">;

const shortTree: BlockLayout = { crc: 52, lsn: 24, uuid: 32 };
const groupHeader: BlockLayout = { crc: 216, lsn: 208, uuid: 64 };
const superblock: BlockLayout = { crc: 224, lsn: 240, uuid: 32 };

/** By the magic in the first word. */
const byFirstWord: ReadonlyMap<number, BlockLayout> = new Map([
  [0x58465342, superblock],
  [0x58414746, groupHeader],
  // Trees of an allocation group: AB3B AB3C IAB3 FIB3 RMB3 R3FC.
  ...[0x41423342, 0x41423343, 0x49414233, 0x46494233, 0x524d4233, 0x52334643].map((magic) => [magic, shortTree] as const),
  [0x424d4133, extentTreeHeader],
  // XDB3 XDD3 XDF3
  ...[0x58444233, 0x58444433, 0x58444633].map((magic) => [magic, directoryHeader] as const),
  [0x58534c4d, symlinkHeader],
  [0x5841524d, remoteValueHeader],
]);

/** By the magic at byte 8: index and attribute blocks. */
const byTreeMagic: ReadonlyMap<number, BlockLayout> = new Map([0x3df1, 0x3dff, 0x3bee, 0x3ebe].map((magic) => [magic, treeHeader]));

/** Undefined for a block of another kind: it is replayed whatever it holds. */
export function findBlockLayout(block: Buffer): BlockLayout | undefined {
  return byFirstWord.get(block.readUInt32BE(0)) ?? byTreeMagic.get(block.readUInt16BE(8));
}
