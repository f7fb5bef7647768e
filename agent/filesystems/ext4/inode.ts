// The inode: s_inode_size bytes, little-endian.
// Source: Linux Documentation/filesystems/ext4/inodes.rst.
//
// Offset | Size | Field            | Meaning
// 0x00   | 2    | i_mode           | type and permissions
// 0x02   | 2    | i_uid            | low half
// 0x04   | 4    | i_size_lo        |
// 0x08   | 4    | i_atime          | seconds since 1970, signed
// 0x0c   | 4    | i_ctime          |
// 0x10   | 4    | i_mtime          |
// 0x18   | 2    | i_gid            | low half
// 0x1a   | 2    | i_links_count    |
// 0x1c   | 4    | i_blocks_lo      | in 512-byte sectors, or filesystem blocks with the huge_file flag
// 0x20   | 4    | i_flags          |
// 0x28   | 60   | i_block          | block map, extent tree root, inline data, link target or device number
// 0x64   | 4    | i_generation     |
// 0x68   | 4    | i_file_acl_lo    | block of the extended attributes
// 0x6c   | 4    | i_size_high      | of regular files; of directories with large_dir
// 0x74   | 2    | i_blocks_high    |
// 0x76   | 2    | i_file_acl_high  |
// 0x78   | 2    | i_uid_high       |
// 0x7a   | 2    | i_gid_high       |
// 0x7c   | 2    | i_checksum_lo    | crc32c, low half
// 0x80   | 2    | i_extra_isize    | bytes in use after the first 128
// 0x82   | 2    | i_checksum_hi    |
// 0x84   | 4    | i_ctime_extra    | bits 0-1: seconds bits 32-33; bits 2-31: nanoseconds
// 0x88   | 4    | i_mtime_extra    | likewise
// 0x8c   | 4    | i_atime_extra    | likewise
// 0x90   | 4    | i_crtime         | creation time
// 0x94   | 4    | i_crtime_extra   |
import { crc32cUpdate, crc32cUpdateUint32 } from "../../blocks/crc32c.ts";
import { DiskError, corrupt, unsupported } from "../../blocks/disk-error.ts";
import type { Attributes, NodeType, Timestamp } from "../filesystem.ts";
import { checkExtentRoot } from "./extent-node.ts";
import type { Superblock } from "./superblock.ts";

export const iBlockOffset = 0x28;
export const iBlockSizeBytes = 60;
const goodOldInodeSize = 128;

export const inodeFlags = {
  immutable: 0x10,
  append: 0x20,
  index: 0x1000,
  encrypt: 0x800,
  extents: 0x80000,
  verity: 0x100000,
  eaInode: 0x200000,
  inlineData: 0x10000000,
  casefold: 0x40000000,
  hugeFile: 0x40000,
} as const;

export const fileTypeBits = {
  mask: 0o170000,
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

/** What of an inode is needed to reach its contents. */
export interface Inode {
  readonly number: number;
  /** The on-disk inode, a copy. */
  readonly bytes: Buffer;
  readonly offsetBytes: number;
  readonly mode: number;
  readonly type: NodeType;
  readonly flags: number;
  readonly size: number | bigint;
  readonly generation: number;
  readonly extraSizeBytes: number;
  /** Block of the extended attributes; 0 for none. */
  readonly attributeBlock: number;
  /** Start value of the checksums of what belongs to this inode. */
  readonly checksumSeed: number;
}

/**
 * Checks the inode at `data[at]` as Linux does before it lets anybody see it.
 * @returns why it can't be used, or undefined
 */
export function findInodeError(
  superblock: Superblock, number: number, data: Buffer, at: number, offsetBytes: number,
): DiskError | undefined {
  const fail = (found: string) => corrupt(`ext4 inode ${number}`, offsetBytes, found);
  const size = superblock.inodeSizeBytes;
  let extra = 0;
  if (size > goodOldInodeSize) {
    extra = data.readUInt16LE(at + 0x80);
    if (goodOldInodeSize + extra > size || (extra & 3) !== 0) {
      return fail(`i_extra_isize ${extra}, expected a multiple of 4 up to ${size - goodOldInodeSize}`);
    }
  }
  if (superblock.inodeChecksums) {
    const wide = extra >= 4;
    const stored = data.readUInt16LE(at + 0x7c) + (wide ? data.readUInt16LE(at + 0x82) * 2 ** 16 : 0);
    const computed = inodeChecksum(superblock, number, data, at, wide);
    const expected = wide ? computed : computed & 0xffff;
    if (stored !== expected) return fail(`checksum 0x${stored.toString(16)}, expected 0x${expected.toString(16)}`);
  }
  return findModeError(number, data, at, offsetBytes);
}

/** The part of the checks that holds for inodes whose checksum nobody stored. */
export function findModeError(number: number, data: Buffer, at: number, offsetBytes: number): DiskError | undefined {
  const mode = data.readUInt16LE(at);
  if (data.readUInt16LE(at + 0x1a) === 0) {
    return corrupt(`ext4 inode ${number}`, offsetBytes, "link count 0: a deleted inode is referenced");
  }
  const type = toNodeType(mode);
  if (type === "symlink" && (data.readUInt32LE(at + 0x20) & (inodeFlags.immutable | inodeFlags.append)) !== 0) {
    return corrupt(`ext4 inode ${number}`, offsetBytes, "a symlink marked immutable or append-only");
  }
  if (type === undefined) return corrupt(`ext4 inode ${number}`, offsetBytes, `i_mode 0${mode.toString(8)} has no file type`);
  return undefined;
}

function inodeChecksum(superblock: Superblock, number: number, data: Buffer, at: number, wide: boolean): number {
  const size = superblock.inodeSizeBytes;
  let crc = crc32cUpdateUint32(superblock.checksumSeed, number);
  crc = crc32cUpdate(crc, data, at + 0x64, at + 0x68);
  crc = crc32cUpdate(crc, data, at, at + 0x7c);
  crc = crc32cUpdate(crc, twoZeros);
  if (size === goodOldInodeSize) return crc32cUpdate(crc, data, at + 0x7e, at + size);
  crc = crc32cUpdate(crc, data, at + 0x7e, at + 0x82);
  if (!wide) return crc32cUpdate(crc, data, at + 0x82, at + size);
  crc = crc32cUpdate(crc, twoZeros);
  return crc32cUpdate(crc, data, at + 0x84, at + size);
}

const twoZeros = new Uint8Array(2);

export function toNodeType(mode: number): NodeType | undefined {
  switch (mode & fileTypeBits.mask) {
    case fileTypeBits.regular: return "file";
    case fileTypeBits.directory: return "directory";
    case fileTypeBits.symlink: return "symlink";
    case fileTypeBits.fifo:
    case fileTypeBits.characterDevice:
    case fileTypeBits.blockDevice:
    case fileTypeBits.socket: return "other";
    default: return undefined;
  }
}

function readSize(superblock: Superblock, mode: number, data: Buffer, at: number): number | bigint {
  const low = data.readUInt32LE(at + 0x4);
  const hasHigh =
    (mode & fileTypeBits.mask) === fileTypeBits.regular ||
    (superblock.largeDirectories && (mode & fileTypeBits.mask) === fileTypeBits.directory);
  const high = hasHigh ? data.readUInt32LE(at + 0x6c) : 0;
  if (high < 2 ** 21) return high * 2 ** 32 + low;
  return (BigInt(high) << 32n) | BigInt(low);
}

function assertSize(number: number, offsetBytes: number, size: number | bigint): void {
  if (size > maxSize) throw corrupt(`ext4 inode ${number}`, offsetBytes, `i_size ${size}, expected at most ${maxSize}`);
}

/** Linux refuses an i_size with the sign bit set. */
const maxSize = 2n ** 63n - 1n;

/** Parses an inode that findInodeError() had nothing against; `bytes` are kept. */
export function parseInode(superblock: Superblock, number: number, bytes: Buffer, offsetBytes: number): Inode {
  const mode = bytes.readUInt16LE(0);
  const size = readSize(superblock, mode, bytes, 0);
  assertSize(number, offsetBytes, size);
  const attributeBlock = bytes.readUInt32LE(0x68) + bytes.readUInt16LE(0x76) * 2 ** 32;
  let checksumSeed = 0;
  if (superblock.metadataChecksums) {
    checksumSeed = crc32cUpdate(crc32cUpdateUint32(superblock.checksumSeed, number), bytes, 0x64, 0x68);
  }
  return {
    number,
    bytes,
    offsetBytes,
    mode,
    type: toNodeType(mode) ?? "other",
    flags: bytes.readUInt32LE(0x20),
    size,
    generation: bytes.readUInt32LE(0x64),
    extraSizeBytes: extraSize(bytes),
    attributeBlock,
    checksumSeed,
  };
}

function extraSize(bytes: Buffer): number {
  return bytes.length > goodOldInodeSize ? bytes.readUInt16LE(0x80) : 0;
}

/** Sectors of 512 bytes that the file occupies, as st_blocks. */
export function readSectorCount(superblock: Superblock, bytes: Buffer): number {
  const low = bytes.readUInt32LE(0x1c);
  if (!superblock.hugeFiles) return low;
  const blocks = low + bytes.readUInt16LE(0x74) * 2 ** 32;
  const inBlocks = (bytes.readUInt32LE(0x20) & inodeFlags.hugeFile) !== 0;
  return inBlocks ? blocks * (superblock.blockSizeBytes / 512) : blocks;
}

/** The attributes of the inode at `data[at]`, that findInodeError() had nothing against. */
export function parseAttributes(superblock: Superblock, number: number, data: Buffer, at: number, offsetBytes: number): Attributes | DiskError {
  const mode = data.readUInt16LE(at);
  const type = toNodeType(mode)!;
  const size = readSize(superblock, mode, data, at);
  if (size > maxSize) return corrupt(`ext4 inode ${number}`, offsetBytes, `i_size ${size}, expected at most ${maxSize}`);
  const flags = data.readUInt32LE(at + 0x20);
  const hasExtra = superblock.inodeSizeBytes > goodOldInodeSize && data.readUInt16LE(at + 0x80) >= 0x8c - goodOldInodeSize;
  const extra = hasExtra ? data.readUInt32LE(at + 0x88) : 0;

  let deviceMajor = 0;
  let deviceMinor = 0;
  const kind = mode & fileTypeBits.mask;
  if (kind === fileTypeBits.characterDevice || kind === fileTypeBits.blockDevice) {
    const old = data.readUInt32LE(at + iBlockOffset);
    if (old !== 0) {
      deviceMajor = (old >>> 8) & 0xff;
      deviceMinor = old & 0xff;
    } else {
      const device = data.readUInt32LE(at + iBlockOffset + 4);
      deviceMajor = (device >>> 8) & 0xfff;
      deviceMinor = (device & 0xff) | ((device >>> 12) & 0xfff00);
    }
  }

  let contentError: DiskError | undefined;
  if ((flags & inodeFlags.encrypt) !== 0 && (type === "file" || type === "symlink")) contentError = unsupported("ext4 fscrypt encryption");
  else if ((flags & inodeFlags.extents) !== 0 && type === "file") {
    const found = checkExtentRoot(data, at + iBlockOffset, superblock);
    if (found !== undefined) contentError = corrupt(`ext4 inode ${number} extent tree root`, offsetBytes + iBlockOffset, found);
  }

  const attributes = {
    type,
    id: number,
    size,
    mode,
    uid: data.readUInt16LE(at + 0x2) + data.readUInt16LE(at + 0x78) * 65536,
    gid: data.readUInt16LE(at + 0x18) + data.readUInt16LE(at + 0x7a) * 65536,
    linkCount: data.readUInt16LE(at + 0x1a),
    deviceMajor,
    deviceMinor,
    mtimeSeconds: data.readInt32LE(at + 0x10) + (extra & 3) * 2 ** 32,
    mtimeNanoseconds: toNanoseconds(extra),
    mtimeDigits: hasExtra ? 9 : 0,
  };
  return contentError === undefined ? attributes : { ...attributes, contentError };
}

/** 30 bits can hold more than a second; the excess means nothing. */
function toNanoseconds(extra: number): number {
  return Math.min(extra >>> 2, 999_999_999);
}

function readTime(bytes: Buffer, at: number, extraAt: number): Timestamp {
  const hasExtra = goodOldInodeSize + extraSize(bytes) >= extraAt + 4;
  const extra = hasExtra ? bytes.readUInt32LE(extraAt) : 0;
  return { seconds: bytes.readInt32LE(at) + (extra & 3) * 2 ** 32, nanoseconds: toNanoseconds(extra), digits: hasExtra ? 9 : 0 };
}

/** Access, change and creation time; creation only where the inode is large enough to hold it. */
export function parseTimes(bytes: Buffer): { accessedAt: Timestamp; changedAt: Timestamp; createdAt: Timestamp | undefined } {
  return {
    accessedAt: readTime(bytes, 0x8, 0x8c),
    changedAt: readTime(bytes, 0xc, 0x84),
    createdAt: goodOldInodeSize + extraSize(bytes) >= 0x94 ? readTime(bytes, 0x90, 0x94) : undefined,
  };
}
