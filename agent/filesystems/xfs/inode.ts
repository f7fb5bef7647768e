// An XFS inode: a core, then the data fork, then the attribute fork, in sb_inodesize bytes, big-endian.
// Source: "XFS Algorithms & Data Structures" (on-disk inode), Linux fs/xfs/libxfs/xfs_format.h (struct xfs_dinode).
//
// Offset | Size | Field             | Meaning
// 0      | 2    | di_magic          | "IN"
// 2      | 2    | di_mode           | as st_mode; 0: a free inode
// 4      | 1    | di_version        | 1, 2; 3 on version 5 filesystems
// 5      | 1    | di_format         | data fork: 0 device number, 1 local, 2 extent list, 3 B+tree
// 6      | 2    | di_onlink         | link count of version 1
// 8      | 4    | di_uid            | 12: di_gid
// 16     | 4    | di_nlink          | link count of version 2 and 3
// 20     | 2    | di_projid_lo      | 22: di_projid_hi
// 24     | 8    | di_big_nextents   | extents of the data fork, with the nrext64 flag
// 32     | 8    | di_atime          | 40: di_mtime, 48: di_ctime
// 56     | 8    | di_size           | bytes
// 64     | 8    | di_nblocks        | blocks of both forks
// 76     | 4    | di_nextents       | extents of the data fork; with nrext64 those of the attribute fork
// 80     | 2    | di_anextents      | extents of the attribute fork
// 82     | 1    | di_forkoff        | where the attribute fork begins, in units of 8 bytes; 0: there is none
// 83     | 1    | di_aformat        | as di_format
// 90     | 2    | di_flags          | 0x1: data on the realtime device
// 92     | 4    | di_gen            |
// 96     | 4    | di_next_unlinked  |
// 100    |      |                   | data fork of versions 1 and 2
// 100    | 4    | di_crc            | crc32c of the inode, little-endian
// 112    | 8    | di_lsn            | log sequence number of the last write
// 120    | 8    | di_flags2         | 0x8: bigtime, 0x10: nrext64, 0x20: of the metadata directory tree
// 144    | 8    | di_crtime         |
// 152    | 8    | di_ino            | its own number
// 160    | 16   | di_uuid           |
// 176    |      |                   | data fork of version 3
//
// A time is two signed words, seconds and nanoseconds; with bigtime one count of nanoseconds from 1901-12-13 on.
import { corrupt, unsupported, type DiskError } from "../../blocks/disk-error.ts";
import type { Attributes, NodeType, Timestamp } from "../filesystem.ts";
import { computeChecksum, hasBytes, readUInt64 } from "./block-header.ts";
import type { Superblock } from "./superblock.ts";

export const inodeMagic = 0x494e;
export const sizeOffset = 56;
export const crcOffset = 100;
export const lsnOffset = 112;
const coreSizeBytes = 100;
const coreSizeBytesVersion3 = 176;

export const forkFormats = { device: 0, local: 1, extents: 2, btree: 3 } as const;
export const flagRealtime = 0x1;
export const flags2 = { bigTime: 0x8, largeExtentCounts: 0x10, metadata: 0x20 } as const;

const modes = { mask: 0xf000, fifo: 0x1000, character: 0x2000, directory: 0x4000, block: 0x6000, file: 0x8000, symlink: 0xa000, socket: 0xc000 } as const;

/** bigtime counts from the smallest signed 32-bit second. */
const bigTimeEpochSeconds = 2 ** 31;
const nanosecondsPerSecond = 1_000_000_000;

/** One of an inode's two areas for contents or attributes. */
export interface Fork {
  readonly format: number;
  readonly bytes: Buffer;
  /** Extents it says it has. */
  readonly extentCount: number;
}

export interface Inode {
  readonly number: number;
  readonly offsetBytes: number;
  readonly bytes: Buffer;
  readonly mode: number;
  readonly type: NodeType;
  readonly size: number | bigint;
  readonly isRealtime: boolean;
  readonly data: Fork;
  readonly attributes: Fork | undefined;
}

export function toNodeType(mode: number): NodeType | undefined {
  switch (mode & modes.mask) {
    case modes.file: return "file";
    case modes.directory: return "directory";
    case modes.symlink: return "symlink";
    case modes.fifo: case modes.character: case modes.block: case modes.socket: return "other";
    default: return undefined;
  }
}

/** Where the forks begin. */
export function coreSize(data: Buffer, at = 0): number {
  return data[at + 4]! >= 3 ? coreSizeBytesVersion3 : coreSizeBytes;
}

/** What Linux would refuse in the inode at `data[at]`, or undefined. */
export function findInodeError(superblock: Superblock, number: number, data: Buffer, at: number, offsetBytes: number): DiskError | undefined {
  const fail = (found: string) => corrupt(`XFS inode ${number}`, offsetBytes, found);
  const magic = data.readUInt16BE(at);
  if (magic !== inodeMagic) return fail(`magic 0x${magic.toString(16)}, expected 0x494e`);
  const version = data[at + 4]!;
  if (superblock.version === 5) {
    if (version !== 3) return fail(`di_version ${version}, expected 3`);
    const end = at + superblock.inodeSizeBytes;
    const stored = data.readUInt32LE(at + crcOffset);
    const expected = computeChecksum(data, crcOffset, at, end);
    if (stored !== expected) return fail(`checksum 0x${stored.toString(16)}, expected 0x${expected.toString(16)}`);
    const ownNumber = readUInt64(data, at + 152);
    if (ownNumber !== number) return fail(`di_ino ${ownNumber}`);
    if (!hasBytes(data, at + 160, superblock.metaUuid)) return fail("the uuid of another filesystem");
  } else if (version !== 1 && version !== 2) {
    return fail(`di_version ${version}, expected 1 or 2`);
  }
  const mode = data.readUInt16BE(at + 2);
  if (mode === 0) return fail("a directory names it, but it is free");
  const type = toNodeType(mode);
  if (type === undefined) return fail(`di_mode 0${mode.toString(8)}`);
  if ((data[at + 56]! & 0x80) !== 0) return fail("di_size is negative");
  if (version === 3 && (data.readUInt32BE(at + 124) & flags2.metadata) !== 0) return fail("a directory names an inode of the filesystem itself");
  return findForkError(superblock, type, data, at, fail);
}

function findForkError(superblock: Superblock, type: NodeType, data: Buffer, at: number, fail: (found: string) => DiskError): DiskError | undefined {
  const size = readUInt64(data, at + 56);
  if (size === 0 && (type === "symlink" || type === "directory")) return fail("di_size 0");
  const room = superblock.inodeSizeBytes - coreSize(data, at);
  const attributeOffset = data[at + 82]! * 8;
  if (attributeOffset >= room && attributeOffset !== 0) return fail(`di_forkoff ${data[at + 82]}, expected less than ${room / 8}`);
  const dataRoom = attributeOffset === 0 ? room : attributeOffset;
  const counts = readExtentCounts(data, at);
  const format = data[at + 5]!;
  if (type === "other") {
    if (format !== forkFormats.device) return fail(`di_format ${format}, expected 0 of a special file`);
  } else if (format === forkFormats.local) {
    if (type === "file") return fail("di_format 1 of a regular file");
    if (size > dataRoom) return fail(`di_size ${size}, but its data fork has ${dataRoom} bytes`);
  } else if (format === forkFormats.extents) {
    if (counts.data > dataRoom / 16) return fail(`${counts.data} extents, but its data fork has room for ${Math.floor(dataRoom / 16)}`);
  } else if (format !== forkFormats.btree || type === "symlink") {
    return fail(`di_format ${format}`);
  }
  const attributeFormat = data[at + 83]!;
  if (attributeOffset === 0) {
    if (counts.attributes !== 0) return fail(`${counts.attributes} attribute extents without an attribute fork`);
  } else if (attributeFormat === forkFormats.extents) {
    if (counts.attributes > (room - attributeOffset) / 16) return fail(`${counts.attributes} attribute extents, more than fit`);
  } else if (attributeFormat !== forkFormats.local && attributeFormat !== forkFormats.btree) {
    return fail(`di_aformat ${attributeFormat}`);
  }
  return undefined;
}

function readFlags2(data: Buffer, at: number): number {
  return data[at + 4]! >= 3 ? data.readUInt32BE(at + 124) : 0;
}

function readExtentCounts(data: Buffer, at: number): { data: number; attributes: number } {
  if ((readFlags2(data, at) & flags2.largeExtentCounts) !== 0) {
    return { data: readUInt64(data, at + 24), attributes: data.readUInt32BE(at + 76) };
  }
  return { data: data.readUInt32BE(at + 76), attributes: data.readUInt16BE(at + 80) };
}

/** @param bytes the whole inode, that findInodeError() had nothing against */
export function parseInode(superblock: Superblock, number: number, bytes: Buffer, offsetBytes: number): Inode {
  const mode = bytes.readUInt16BE(2);
  const start = coreSize(bytes);
  const attributeOffset = bytes[82]! * 8;
  const middle = attributeOffset === 0 ? superblock.inodeSizeBytes : start + attributeOffset;
  const counts = readExtentCounts(bytes, 0);
  return {
    number,
    offsetBytes,
    bytes,
    mode,
    type: toNodeType(mode) ?? "other",
    size: readSize(bytes, 0),
    isRealtime: isRealtime(bytes, 0, mode),
    data: { format: bytes[5]!, bytes: bytes.subarray(start, middle), extentCount: counts.data },
    attributes: attributeOffset === 0 ? undefined : { format: bytes[83]!, bytes: bytes.subarray(middle), extentCount: counts.attributes },
  };
}

function readSize(data: Buffer, at: number): number | bigint {
  const high = data.readUInt32BE(at + 56);
  return high < 0x200000 ? high * 2 ** 32 + data.readUInt32BE(at + 60) : data.readBigUInt64BE(at + 56);
}

function isRealtime(data: Buffer, at: number, mode: number): boolean {
  return (mode & modes.mask) === modes.file && (data.readUInt16BE(at + 90) & flagRealtime) !== 0;
}

/** Why the contents of a file on the realtime device can't be read. */
export function realtimeError(number: number): DiskError {
  return unsupported(`XFS realtime file: the contents of inode ${number} are on another device`);
}

/** The attributes of the inode at `data[at]`, that findInodeError() had nothing against. */
export function parseAttributes(number: number, data: Buffer, at: number): Attributes {
  const mode = data.readUInt16BE(at + 2);
  const kind = mode & modes.mask;
  const bigTime = (readFlags2(data, at) & flags2.bigTime) !== 0;
  let deviceMajor = 0;
  let deviceMinor = 0;
  if (kind === modes.character || kind === modes.block) {
    const device = data.readUInt32BE(at + coreSize(data, at));
    deviceMajor = device >>> 18;
    deviceMinor = device & 0x3ffff;
  }
  const attributes = {
    type: toNodeType(mode)!,
    id: number,
    size: readSize(data, at),
    mode,
    uid: data.readUInt32BE(at + 8),
    gid: data.readUInt32BE(at + 12),
    linkCount: data[at + 4] === 1 ? data.readUInt16BE(at + 6) : data.readUInt32BE(at + 16),
    deviceMajor,
    deviceMinor,
    mtimeSeconds: bigTime ? readBigTimeSeconds(data, at + 40) : data.readInt32BE(at + 40),
    mtimeNanoseconds: bigTime ? readBigTimeNanoseconds(data, at + 40) : toNanoseconds(data.readInt32BE(at + 44)),
    mtimeDigits: 9,
  };
  // A realtime file without extents is all holes, wherever they would be.
  if (isRealtime(data, at, mode) && readExtentCounts(data, at).data > 0) return { ...attributes, contentError: realtimeError(number) };
  return attributes;
}

/** Long division by 16 bits a step, as the count of nanoseconds has more bits than a number holds. */
function readBigTimeSeconds(data: Buffer, at: number): number {
  let remainder = 0;
  let quotient = 0;
  for (let step = 0; step < 8; step += 2) {
    const dividend = remainder * 65536 + data.readUInt16BE(at + step);
    const digit = Math.floor(dividend / nanosecondsPerSecond);
    quotient = quotient * 65536 + digit;
    remainder = dividend - digit * nanosecondsPerSecond;
  }
  return quotient - bigTimeEpochSeconds;
}

function readBigTimeNanoseconds(data: Buffer, at: number): number {
  let remainder = 0;
  for (let step = 0; step < 8; step += 2) remainder = (remainder * 65536 + data.readUInt16BE(at + step)) % nanosecondsPerSecond;
  return remainder;
}

/** The field has room for more than a second; the excess means nothing. */
function toNanoseconds(stored: number): number {
  return Math.min(Math.max(0, stored), nanosecondsPerSecond - 1);
}

function readTime(bytes: Buffer, at: number): Timestamp {
  if ((readFlags2(bytes, 0) & flags2.bigTime) !== 0) {
    return { seconds: readBigTimeSeconds(bytes, at), nanoseconds: readBigTimeNanoseconds(bytes, at), digits: 9 };
  }
  return { seconds: bytes.readInt32BE(at), nanoseconds: toNanoseconds(bytes.readInt32BE(at + 4)), digits: 9 };
}

/** Access, change and creation time; creation only from inode version 3 on. */
export function parseTimes(bytes: Buffer): { accessedAt: Timestamp; changedAt: Timestamp; createdAt: Timestamp | undefined } {
  return {
    accessedAt: readTime(bytes, 32),
    changedAt: readTime(bytes, 48),
    createdAt: bytes[4]! >= 3 ? readTime(bytes, 144) : undefined,
  };
}
