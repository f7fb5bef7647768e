// The XFS superblock: first sector of the volume, big-endian.
// Source: "XFS Algorithms & Data Structures" (superblocks), Linux fs/xfs/libxfs/xfs_format.h (struct xfs_dsb).
//
// Offset | Size | Field              | Meaning
// 0      | 4    | sb_magicnum        | "XFSB"
// 4      | 4    | sb_blocksize       | bytes
// 8      | 8    | sb_dblocks         | blocks in all
// 16     | 8    | sb_rblocks         | blocks of the realtime device
// 32     | 16   | sb_uuid            | as users see it
// 48     | 8    | sb_logstart        | first block of the internal log; 0: the log is on another device
// 56     | 8    | sb_rootino         | the root directory
// 84     | 4    | sb_agblocks        | blocks of an allocation group (AG); the last may be shorter
// 88     | 4    | sb_agcount         |
// 96     | 4    | sb_logblocks       | blocks of the log
// 100    | 2    | sb_versionnum      | version in the low four bits, features above
// 102    | 2    | sb_sectsize        | bytes
// 104    | 2    | sb_inodesize       | bytes
// 106    | 2    | sb_inopblock       | inodes a block
// 108    | 12   | sb_fname           | label
// 120    | 1    | sb_blocklog        | log2 of the sizes above: blocks, 121 sectors, 122 inodes, 123 inodes a block
// 124    | 1    | sb_agblklog        | log2 of sb_agblocks, rounded up
// 126    | 1    | sb_inprogress      | mkfs or another tool has not finished
// 144    | 8    | sb_fdblocks        | free blocks
// 192    | 1    | sb_dirblklog       | log2 of the blocks of a directory block
// 196    | 4    | sb_logsunit        | stripe unit of the log, bytes
// 200    | 4    | sb_features2       | and 204 sb_bad_features2, where old kernels wrote it by mistake
// 208    | 16   | sb_features_*      | version 5: compat, ro_compat, incompat, log_incompat
// 224    | 4    | sb_crc             | crc32c, little-endian
// 240    | 8    | sb_lsn             | log sequence number of the last write
// 248    | 16   | sb_meta_uuid       | as metadata blocks carry it, with the meta_uuid feature
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { assertIncompatReadable, assertVersion4Readable, features2, incompat, versionBits } from "./features.ts";

const magic = 0x58465342;
/** Where sector sizes of up to 32 KiB leave the fields and the checksum. */
export const minSuperblockBytes = 512;
export const maxSuperblockBytes = 32768;
const crcOffset = 224;

export interface Superblock {
  readonly version: 4 | 5;
  readonly blockSizeBytes: number;
  readonly blockLog: number;
  readonly blockCount: number;
  readonly freeBlockCount: number;
  readonly sectorSizeBytes: number;
  readonly inodeSizeBytes: number;
  readonly inodeLog: number;
  readonly inodesPerBlockLog: number;
  readonly groupBlocks: number;
  readonly groupBlockLog: number;
  readonly groupCount: number;
  readonly rootInode: number;
  readonly directoryBlockSizeBytes: number;
  /** First block number of the internal log; 0 where it lies on another device. */
  readonly logStart: number;
  readonly logBlocks: number;
  readonly logVersion2: boolean;
  readonly logIncompat: number;
  readonly label: string | undefined;
  readonly uuid: string;
  readonly uuidBytes: Uint8Array;
  /** What metadata blocks of version 5 carry. */
  readonly metaUuid: Uint8Array;
  readonly fileTypes: boolean;
  /** ASCII letters match regardless of case. */
  readonly caseInsensitive: boolean;
}

export function hasSuperblockMagic(bytes: Uint8Array): boolean {
  return asBuffer(bytes).readUInt32BE(0) === magic;
}

/**
 * @param bytes the start of the volume, a whole sector at least
 * @param volumeSizeBytes the volume it describes; a filesystem that claims more is "corrupt"
 */
export function parseSuperblock(bytes: Uint8Array, volumeSizeBytes: number): Superblock {
  const data = asBuffer(bytes);
  const fail = (found: string) => corrupt("XFS superblock", 0, found);
  const word = (offset: number) => data.readUInt32BE(offset);
  const half = (offset: number) => data.readUInt16BE(offset);
  const long = (offset: number) => word(offset) * 2 ** 32 + word(offset + 4);

  if (word(0) !== magic) throw fail(`magic 0x${word(0).toString(16)}, expected 0x58465342`);
  const versionWord = half(100);
  const version = versionWord & 0xf;
  if (version !== 4 && version !== 5) throw unsupported(`XFS version ${version}`);

  const sectorSizeBytes = half(102);
  if (!isPowerOfTwo(sectorSizeBytes, 512, maxSuperblockBytes)) throw fail(`sb_sectsize ${sectorSizeBytes}`);
  if (sectorSizeBytes > data.length) throw fail(`sb_sectsize ${sectorSizeBytes}, but the volume has ${volumeSizeBytes} bytes`);
  let fileTypes: boolean;
  if (version === 5) {
    let crc = crc32cUpdate(0xffffffff, data, 0, crcOffset);
    crc = crc32cUpdate(crc, new Uint8Array(4));
    crc = ~crc32cUpdate(crc, data, crcOffset + 4, sectorSizeBytes) >>> 0;
    const stored = data.readUInt32LE(crcOffset);
    if (crc !== stored) throw fail(`checksum 0x${stored.toString(16)}, expected 0x${crc.toString(16)}`);
    assertIncompatReadable(word(216));
    fileTypes = (word(216) & incompat.fileTypes) !== 0;
  } else {
    const second = (versionWord & versionBits.features2) === 0 ? 0 : word(200) | word(204);
    assertVersion4Readable(versionWord, second);
    fileTypes = (second & features2.fileTypes) !== 0;
  }
  if (data[126] !== 0) throw unsupported("XFS sb_inprogress: mkfs.xfs or another tool has not finished with it");

  const blockSizeBytes = word(4);
  const blockLog = data[120]!;
  if (!isPowerOfTwo(blockSizeBytes, 512, 65536) || 2 ** blockLog !== blockSizeBytes) throw fail(`sb_blocksize ${blockSizeBytes}, sb_blocklog ${blockLog}`);
  const inodeSizeBytes = half(104);
  const inodeLog = data[122]!;
  const inodesPerBlockLog = data[123]!;
  if (!isPowerOfTwo(inodeSizeBytes, 256, 2048) || inodeSizeBytes > blockSizeBytes || 2 ** inodeLog !== inodeSizeBytes) {
    throw fail(`sb_inodesize ${inodeSizeBytes}, sb_inodelog ${inodeLog}`);
  }
  if (blockLog - inodeLog !== inodesPerBlockLog || half(106) !== 2 ** inodesPerBlockLog) throw fail(`sb_inopblog ${inodesPerBlockLog}, sb_inopblock ${half(106)}`);
  const groupBlocks = word(84);
  const groupBlockLog = data[124]!;
  // Inode numbers within a group have 32 bits, and so have its block numbers.
  if (groupBlocks === 0 || groupBlockLog > 31 || 2 ** groupBlockLog < groupBlocks || 2 ** (groupBlockLog - 1) >= groupBlocks) {
    throw fail(`sb_agblocks ${groupBlocks}, sb_agblklog ${groupBlockLog}`);
  }
  const groupCount = word(88);
  const blockCount = long(8);
  if (groupCount === 0 || blockCount > groupCount * groupBlocks || blockCount <= (groupCount - 1) * groupBlocks) {
    throw fail(`sb_dblocks ${blockCount}, expected ${groupCount} groups of ${groupBlocks}`);
  }
  if (blockCount > volumeSizeBytes / blockSizeBytes) {
    throw fail(`${blockCount} blocks of ${blockSizeBytes} bytes, but the volume has ${volumeSizeBytes} bytes`);
  }
  const directoryBlockLog = data[192]!;
  if (directoryBlockLog + blockLog > 16) throw fail(`sb_dirblklog ${directoryBlockLog} with blocks of ${blockSizeBytes} bytes`);

  const uuidBytes = Uint8Array.from(data.subarray(32, 48));
  const hasMetaUuid = version === 5 && (word(216) & incompat.metaUuid) !== 0;
  return {
    version,
    blockSizeBytes,
    blockLog,
    blockCount,
    freeBlockCount: Math.min(long(144), blockCount),
    sectorSizeBytes,
    inodeSizeBytes,
    inodeLog,
    inodesPerBlockLog,
    groupBlocks,
    groupBlockLog,
    groupCount,
    rootInode: long(56),
    directoryBlockSizeBytes: blockSizeBytes << directoryBlockLog,
    logStart: long(48),
    logBlocks: word(96),
    logVersion2: version === 5 || (versionWord & versionBits.logVersion2) !== 0,
    logIncompat: version === 5 ? word(220) : 0,
    label: readLabel(data),
    uuid: formatUuid(uuidBytes),
    uuidBytes,
    metaUuid: hasMetaUuid ? Uint8Array.from(data.subarray(248, 264)) : uuidBytes,
    fileTypes,
    caseInsensitive: (versionWord & versionBits.caseInsensitive) !== 0,
  };
}

function readLabel(data: Buffer): string | undefined {
  const end = data.subarray(108, 120).indexOf(0);
  const label = data.toString("utf8", 108, end < 0 ? 120 : 108 + end);
  return label === "" ? undefined : label;
}

function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function isPowerOfTwo(value: number, low: number, high: number): boolean {
  return value >= low && value <= high && (value & (value - 1)) === 0;
}
