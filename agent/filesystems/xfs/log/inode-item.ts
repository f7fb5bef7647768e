// An inode in the log: its core, and what changed of its forks.
// Source: "XFS Algorithms & Data Structures" (inode log items), Linux fs/xfs/libxfs/xfs_log_format.h
// (xfs_inode_log_format, xfs_log_dinode), fs/xfs/xfs_inode_item_recover.c (when it is replayed).
//
// Offset | Size | Field      | Meaning, little-endian
// 4      | 4    | ilf_fields | 0x1 core, 0x2 local data, 0x4 extent list, 0x8 tree root, 0x10 device number;
//        |      |            | 0x40, 0x80, 0x100 the same of the attribute fork
// 8      | 2    | ilf_asize  | 10: ilf_dsize
// 16     | 8    | ilf_ino    | (12 where 8-byte numbers need no alignment: 52 bytes in all instead of 56)
// 24     | 4    | ilf_rdev   |
// 40     | 8    | ilf_blkno  | address of the buffer in units of 512 bytes
// 48     | 4    | ilf_len    | of the buffer, in units of 512 bytes
// 52     | 4    | ilf_boffset| of the inode in it
// The next region is the core: as on the disk (see ../inode.ts), but little-endian. Then the data fork, then the
// attribute fork, as on the disk; only the root of a tree comes with the header of a whole block.
import { corrupt } from "../../../blocks/disk-error.ts";
import { computeChecksum } from "../block-header.ts";
import { coreSize, crcOffset, inodeMagic, lsnOffset } from "../inode.ts";
import type { Superblock } from "../superblock.ts";
import type { LogItem } from "./transactions.ts";

const formatBytes = 56;
const formatBytesUnaligned = 52;
const fields = {
  data: 0x2, extents: 0x4, root: 0x8, device: 0x10,
  attributeData: 0x40, attributeExtents: 0x80, attributeRoot: 0x100,
} as const;
const dataForkFields = fields.data | fields.extents | fields.root | fields.device;
const attributeForkFields = fields.attributeData | fields.attributeExtents | fields.attributeRoot;
const maxFlushIteration = 0xffff;

export interface InodeItem {
  readonly inode: number;
  readonly fields: number;
  readonly bufferOffsetBytes: number;
  readonly bufferLengthBytes: number;
  /** Where the inode lies in the volume. */
  readonly offsetBytes: number;
  readonly device: number;
  readonly core: Buffer;
  readonly dataFork: Buffer | undefined;
  readonly attributeFork: Buffer | undefined;
}

export function parseInodeItem(item: LogItem): InodeItem {
  const format = item.regions[0]!;
  const fail = (found: string) => corrupt("XFS log inode item", undefined, found);
  if (format.length < formatBytesUnaligned) throw fail(`${format.length} bytes`);
  // Without padding everything from ilf_ino on stands four bytes earlier.
  const shift = format.length < formatBytes ? 4 : 0;
  const itemFields = format.readUInt32LE(4);
  const inode = format.readBigUInt64LE(16 - shift);
  const address = format.readBigInt64LE(40 - shift);
  const length = format.readUInt32LE(48 - shift);
  const within = format.readUInt32LE(52 - shift);
  if (address < 0n || address > 2n ** 44n || length > 65536) throw fail(`blkno ${address}, len ${length}`);
  const core = item.regions[1];
  if (core === undefined) throw fail(`inode ${inode} without a core`);
  const hasData = (itemFields & dataForkFields & ~fields.device) !== 0;
  const attributeRegion = hasData ? 3 : 2;
  return {
    inode: Number(inode),
    fields: itemFields,
    bufferOffsetBytes: Number(address) * 512,
    bufferLengthBytes: length * 512,
    offsetBytes: Number(address) * 512 + within,
    device: format.readUInt32LE(24 - shift),
    core,
    dataFork: hasData ? item.regions[2] : undefined,
    attributeFork: (itemFields & attributeForkFields) !== 0 ? item.regions[attributeRegion] : undefined,
  };
}

/**
 * Replays the item over the inode in place. Does nothing where the inode on the disk is newer.
 * @param target the whole inode
 * @param lsn of the item's transaction
 * @returns whether it was replayed
 */
export function replayInode(superblock: Superblock, item: InodeItem, target: Buffer, lsn: bigint): boolean {
  const fail = (found: string) => corrupt(`XFS log item of inode ${item.inode}`, item.offsetBytes, found);
  if (target.readUInt16BE(0) !== inodeMagic) throw fail(`magic 0x${target.readUInt16BE(0).toString(16)} on the disk, expected 0x494e`);
  const { core } = item;
  const isVersion5 = superblock.version === 5;
  const coreBytes = isVersion5 ? 176 : 96;
  if (core.length < coreBytes) throw fail(`a core of ${core.length} bytes, expected ${coreBytes}`);
  if (core.readUInt16LE(0) !== inodeMagic) throw fail(`magic 0x${core.readUInt16LE(0).toString(16)} in the log, expected 0x494e`);
  const diskVersion = target[4]!;
  if (diskVersion >= 3) {
    const diskLsn = target.readBigUInt64BE(lsnOffset);
    if (diskLsn !== 0n && diskLsn !== 0xffffffffffffffffn && diskLsn > lsn) return false;
  } else if (!isNewerFlush(core.readUInt16LE(30), target.readUInt16BE(30))) {
    return false;
  }
  if (core[82]! * 8 >= superblock.inodeSizeBytes) throw fail(`di_forkoff ${core[82]}`);
  writeCore(core, target, lsn);
  const start = coreSize(target);
  const attributeOffset = target[82]! * 8;
  const end = attributeOffset === 0 ? superblock.inodeSizeBytes : start + attributeOffset;
  if (end > superblock.inodeSizeBytes) throw fail(`di_forkoff ${target[82]}`);
  const dataFork = target.subarray(start, end);
  if ((item.fields & fields.device) !== 0) dataFork.writeUInt32BE(item.device, 0);
  if (item.dataFork !== undefined) replayFork(superblock, item.dataFork, dataFork, (item.fields & fields.root) !== 0, fail);
  if (item.attributeFork !== undefined && attributeOffset !== 0) {
    replayFork(superblock, item.attributeFork, target.subarray(end), (item.fields & fields.attributeRoot) !== 0, fail);
  }
  if (target[4]! >= 3) target.writeUInt32LE(computeChecksum(target, crcOffset), crcOffset);
  return true;
}

/** Before version 5 a counter that wraps around told which is newer. */
function isNewerFlush(logged: number, onDisk: number): boolean {
  if (logged >= onDisk) return true;
  return onDisk === maxFlushIteration && logged < maxFlushIteration >>> 1;
}

/** From the log's byte order to the disk's. */
function writeCore(core: Buffer, target: Buffer, lsn: bigint): void {
  const half = (at: number) => target.writeUInt16BE(core.readUInt16LE(at), at);
  const word = (at: number) => target.writeUInt32BE(core.readUInt32LE(at), at);
  const long = (at: number) => target.writeBigUInt64BE(core.readBigUInt64LE(at), at);
  const version = core[4]!;
  const flags2 = version >= 3 ? core.readBigUInt64LE(120) : 0n;
  half(0);
  half(2);
  target[4] = version;
  target[5] = core[5]!;
  if (version === 1) half(6);
  else target.writeUInt16BE(0, 6);
  word(8);
  word(12);
  word(16);
  half(20);
  half(22);
  const hasLargeCounts = (flags2 & 0x10n) !== 0n;
  if (hasLargeCounts) long(24);
  else target.fill(0, 24, 32);
  const hasBigTime = (flags2 & 0x8n) !== 0n;
  for (const at of version >= 3 ? [32, 40, 48, 144] : [32, 40, 48]) {
    if (hasBigTime) long(at);
    else {
      word(at);
      word(at + 4);
    }
  }
  long(56);
  long(64);
  word(72);
  word(76);
  if (hasLargeCounts) target.writeUInt16BE(0, 80);
  else half(80);
  target[82] = core[82]!;
  target[83] = core[83]!;
  word(84);
  half(88);
  half(90);
  word(92);
  if (version < 3) return;
  long(104);
  target.writeBigUInt64BE(lsn, lsnOffset);
  long(120);
  word(128);
  target.fill(0, 132, 144);
  long(152);
  core.copy(target, 160, 160, 176);
}

function replayFork(superblock: Superblock, logged: Buffer, target: Buffer, isRoot: boolean, fail: (found: string) => Error): void {
  if (!isRoot) {
    // Padded to a multiple of four; what leaves the fork is only that.
    logged.copy(target, 0, 0, Math.min(logged.length, target.length));
    return;
  }
  const header = superblock.version === 5 ? 72 : 24;
  if (logged.length < header) throw fail(`a tree root of ${logged.length} bytes`);
  const count = logged.readUInt16BE(6);
  const loggedRoom = Math.floor((logged.length - header) / 16);
  const room = Math.floor((target.length - 4) / 16);
  if (count > loggedRoom || count > room) throw fail(`a tree root of ${count} children, room for ${Math.min(loggedRoom, room)}`);
  target.writeUInt16BE(logged.readUInt16BE(4), 0);
  target.writeUInt16BE(count, 2);
  logged.copy(target, 4, header, header + count * 8);
  logged.copy(target, 4 + room * 8, header + loggedRoom * 8, header + loggedRoom * 8 + count * 8);
}
