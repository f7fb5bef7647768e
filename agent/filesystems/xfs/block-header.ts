// What version 5 puts into every metadata block beside its own fields: a checksum, the filesystem's uuid, the block's
// own address and its owner. Where they stand differs from structure to structure.
// Source: "XFS Algorithms & Data Structures" (self-describing metadata), Linux fs/xfs/libxfs/xfs_da_format.h,
// xfs_format.h, xfs_log_recover.c (which of them carry a log sequence number).
//
// Structure               | Magic at, value   | crc | blkno | lsn | uuid | owner
// directory block, data   | 0  XDB3 XDD3 XDF3 | 4   | 8     | 16  | 24   | 40
// directory/attribute tree| 8  3df1 3dff 3bee 3ebe | 12 | 16 | 24  | 32   | 48
// file extent B+tree      | 0  BMA3           | 64  | 24    | 32  | 40   | 56
// symlink                 | 0  XSLM           | 12  | 40    | 48  | 16   | 32
// remote attribute value  | 0  XARM           | 12  | 40    | -   | 16   | 32
// checksums are crc32c, little-endian, over the block with the checksum's own bytes as zeros
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import type { DiskError } from "../../blocks/disk-error.ts";
import type { Superblock } from "./superblock.ts";

export interface HeaderLayout {
  readonly crc: number;
  /** Address in units of 512 bytes. */
  readonly blkno: number;
  /** Undefined where the log keeps no order through it. */
  readonly lsn: number | undefined;
  readonly uuid: number;
  readonly owner: number;
}

export const directoryHeader: HeaderLayout = { crc: 4, blkno: 8, lsn: 16, uuid: 24, owner: 40 };
export const treeHeader: HeaderLayout = { crc: 12, blkno: 16, lsn: 24, uuid: 32, owner: 48 };
export const extentTreeHeader: HeaderLayout = { crc: 64, blkno: 24, lsn: 32, uuid: 40, owner: 56 };
export const symlinkHeader: HeaderLayout = { crc: 12, blkno: 40, lsn: 48, uuid: 16, owner: 32 };
export const remoteValueHeader: HeaderLayout = { crc: 12, blkno: 40, lsn: undefined, uuid: 16, owner: 32 };

const fourZeros = new Uint8Array(4);

/** The checksum that [start, end) should carry at `start + crcOffset`. */
export function computeChecksum(bytes: Uint8Array, crcOffset: number, start = 0, end = bytes.length): number {
  let crc = crc32cUpdate(0xffffffff, bytes, start, start + crcOffset);
  crc = crc32cUpdate(crc, fourZeros);
  return ~crc32cUpdate(crc, bytes, start + crcOffset + 4, end) >>> 0;
}

/**
 * What is wrong with a block of version 5, or undefined.
 * @param offsetBytes where it lies in the volume
 * @param owner the inode that should own it; undefined: any
 */
export function findHeaderError(
  superblock: Superblock, structure: string, block: Buffer, layout: HeaderLayout, offsetBytes: number, owner: number | undefined,
): DiskError | undefined {
  const fail = (found: string) => corrupt(structure, offsetBytes, found);
  const stored = block.readUInt32LE(layout.crc);
  const expected = computeChecksum(block, layout.crc);
  if (stored !== expected) return fail(`checksum 0x${stored.toString(16)}, expected 0x${expected.toString(16)}`);
  if (!hasBytes(block, layout.uuid, superblock.metaUuid)) return fail("the uuid of another filesystem");
  const blkno = readUInt64(block, layout.blkno);
  if (blkno !== offsetBytes / 512) return fail(`blkno ${blkno}, expected ${offsetBytes / 512}`);
  const actualOwner = readUInt64(block, layout.owner);
  if (owner !== undefined && actualOwner !== owner) return fail(`owner inode ${actualOwner}, expected ${owner}`);
  return undefined;
}

export function hasBytes(block: Buffer, offset: number, bytes: Uint8Array): boolean {
  return block.compare(bytes, 0, bytes.length, offset, offset + bytes.length) === 0;
}

/** Exact up to 2^53; beyond, as near as a number comes: more than any address on a readable volume. */
export function readUInt64(data: Buffer, offset: number): number {
  return data.readUInt32BE(offset) * 2 ** 32 + data.readUInt32BE(offset + 4);
}
