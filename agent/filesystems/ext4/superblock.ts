// The ext2/3/4 superblock: 1024 bytes at byte 1024 of the volume, little-endian.
// Source: Linux Documentation/filesystems/ext4/super.rst.
//
// Offset | Size | Field                   | Meaning
// 0x000  | 4    | s_inodes_count          | inodes in all
// 0x004  | 4    | s_blocks_count_lo       | blocks in all, low half
// 0x00c  | 4    | s_free_blocks_count_lo  | free blocks (clusters with bigalloc), low half
// 0x014  | 4    | s_first_data_block      | 1 with 1 KiB blocks, else 0
// 0x018  | 4    | s_log_block_size        | block size is 1024 << this
// 0x01c  | 4    | s_log_cluster_size      | cluster size is 1024 << this (bigalloc)
// 0x020  | 4    | s_blocks_per_group      |
// 0x028  | 4    | s_inodes_per_group      |
// 0x038  | 2    | s_magic                 | 0xef53
// 0x03a  | 2    | s_state                 | 1: unmounted cleanly, 2: errors seen
// 0x048  | 4    | s_creator_os            | 0: Linux
// 0x04c  | 4    | s_rev_level             | 0: fixed 128-byte inodes
// 0x054  | 4    | s_first_ino             | first inode that isn't reserved
// 0x058  | 2    | s_inode_size            |
// 0x05c  | 12   | s_feature_*             | compat, incompat, ro_compat
// 0x068  | 16   | s_uuid                  |
// 0x078  | 16   | s_volume_name           |
// 0x0d0  | 16   | s_journal_uuid          | of an external journal
// 0x0e0  | 4    | s_journal_inum          | inode of the internal journal
// 0x0e4  | 4    | s_journal_dev           | device number of an external journal
// 0x0ec  | 16   | s_hash_seed             | four words for the directory hash
// 0x0fc  | 1    | s_def_hash_version      | of directories that have no index
// 0x0fe  | 2    | s_desc_size             | group descriptor size, with 64bit
// 0x104  | 4    | s_first_meta_bg         | first meta block group
// 0x150  | 4    | s_blocks_count_hi       | with 64bit
// 0x158  | 4    | s_free_blocks_count_hi  | with 64bit
// 0x15c  | 2    | s_min_extra_isize       | and s_want_extra_isize: i_extra_isize of new inodes
// 0x160  | 4    | s_flags                 | 1: signed directory hash, 2: unsigned
// 0x175  | 1    | s_checksum_type         | 1: crc32c
// 0x240  | 4    | s_usr_quota_inum        | and s_grp_quota_inum
// 0x248  | 4    | s_overhead_clusters     | clusters of the filesystem's own structures; 0: not computed
// 0x24c  | 8    | s_backup_bgs            | the groups with a superblock copy, with sparse_super2
// 0x26c  | 4    | s_prj_quota_inum        |
// 0x270  | 4    | s_checksum_seed         | with csum_seed
// 0x27c  | 2    | s_encoding              | 1: UTF-8 12.1, of casefold directories
// 0x280  | 4    | s_orphan_file_inum      |
// 0x3fc  | 4    | s_checksum              | crc32c of all before it
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { assertFeaturesReadable, compat, incompat, roCompat } from "./features.ts";

export const superblockOffsetBytes = 1024;
export const superblockSizeBytes = 1024;
const magic = 0xef53;
const linuxCreator = 0;

/** Largest block size the format has: 64 KiB. */
const maxLogBlockSize = 6;

export interface Superblock {
  readonly features: { readonly compat: number; readonly incompat: number; readonly roCompat: number };
  readonly inodeCount: number;
  readonly blockCount: number;
  /** In clusters. */
  readonly freeClusterCount: number;
  readonly overheadClusterCount: number;
  readonly firstDataBlock: number;
  readonly blockSizeBytes: number;
  readonly clusterSizeBytes: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly groupCount: number;
  readonly descriptorSizeBytes: number;
  /** First meta block group; Infinity without meta_bg. */
  readonly firstMetaGroup: number;
  /** The only groups with a superblock copy, with sparse_super2. */
  readonly backupGroups: readonly number[] | undefined;
  readonly inodeSizeBytes: number;
  readonly firstInode: number;
  /** Inodes that hold the filesystem's own data, beside those below `firstInode`. */
  readonly systemInodes: readonly number[];
  readonly validState: boolean;
  readonly label: string | undefined;
  readonly uuid: string;
  readonly uuidBytes: Uint8Array;
  readonly needsRecovery: boolean;
  /** The journal's inode; 0 when there is none or it lies on another device. */
  readonly journalInode: number;
  readonly journalIsExternal: boolean;
  readonly metadataChecksums: boolean;
  /** Linux checksums inodes only where it made the filesystem. */
  readonly inodeChecksums: boolean;
  readonly groupChecksums: boolean;
  /** Start value of every metadata checksum. */
  readonly checksumSeed: number;
  readonly hashSeed: readonly [number, number, number, number];
  readonly defaultHashVersion: number;
  readonly unsignedHash: boolean;
  readonly fileTypeInDirectories: boolean;
  readonly dirIndex: boolean;
  readonly largeDirectories: boolean;
  readonly dirdata: boolean;
  readonly inlineData: boolean;
  readonly eaInodes: boolean;
  readonly hugeFiles: boolean;
  readonly casefold: boolean;
  readonly encrypt: boolean;
}

export function hasSuperblockMagic(bytes: Uint8Array): boolean {
  return asBuffer(bytes).readUInt16LE(0x38) === magic;
}

/**
 * @param bytes the 1024 bytes of the superblock
 * @param volumeSizeBytes the volume it describes; a filesystem that claims more is "corrupt"
 */
export function parseSuperblock(bytes: Uint8Array, volumeSizeBytes: number): Superblock {
  const data = asBuffer(bytes);
  const fail = (found: string) => corrupt("ext4 superblock", superblockOffsetBytes, found);
  const word = (offset: number) => data.readUInt32LE(offset);
  const half = (offset: number) => data.readUInt16LE(offset);

  if (half(0x38) !== magic) throw fail(`magic 0x${half(0x38).toString(16)}, expected 0xef53`);
  const revision = word(0x4c);
  if (revision > 1) throw unsupported(`ext4 revision level ${revision}`);
  const dynamic = revision === 1;
  // Revision 0 has no feature fields, but Linux honours the bits if some tool set them all the same.
  const features = { compat: word(0x5c), incompat: word(0x60), roCompat: word(0x64) };
  const has = (bit: number) => (features.incompat & bit) !== 0;
  const hasRo = (bit: number) => (features.roCompat & bit) !== 0;
  if (has(incompat.journalDevice)) throw unsupported("ext4 journal device: it holds another filesystem's journal, no files");
  assertFeaturesReadable(features.incompat);

  const metadataChecksums = hasRo(roCompat.metadataCsum);
  if (metadataChecksums) {
    if (data[0x175] !== 1) throw unsupported(`ext4 checksum type ${data[0x175]}, expected 1 (crc32c)`);
    const actual = crc32cUpdate(0xffffffff, data, 0, 0x3fc);
    if (actual !== word(0x3fc)) throw fail(`checksum 0x${word(0x3fc).toString(16)}, expected 0x${actual.toString(16)}`);
  }

  const logBlockSize = word(0x18);
  if (logBlockSize > maxLogBlockSize) throw fail(`s_log_block_size ${logBlockSize}, expected 0 to ${maxLogBlockSize}`);
  const blockSizeBytes = 1024 << logBlockSize;
  let clusterSizeBytes = blockSizeBytes;
  if (hasRo(roCompat.bigalloc)) {
    const logClusterSize = word(0x1c);
    if (logClusterSize < logBlockSize || logClusterSize > 20) {
      throw fail(`s_log_cluster_size ${logClusterSize}, expected ${logBlockSize} to 20`);
    }
    clusterSizeBytes = 1024 << logClusterSize;
  }

  const is64 = has(incompat.bit64);
  const blockCount = word(0x4) + (is64 ? word(0x150) * 2 ** 32 : 0);
  const firstDataBlock = word(0x14);
  if (firstDataBlock === 0 && clusterSizeBytes === 1024) throw fail("s_first_data_block 0, expected 1 with 1024-byte blocks");
  if (blockCount <= firstDataBlock) throw fail(`s_blocks_count ${blockCount}`);
  if (blockCount > volumeSizeBytes / blockSizeBytes) {
    throw fail(`${blockCount} blocks of ${blockSizeBytes} bytes, but the volume has ${volumeSizeBytes} bytes`);
  }

  const inodeSizeBytes = dynamic ? half(0x58) : 128;
  if (inodeSizeBytes < 128 || inodeSizeBytes > blockSizeBytes || (inodeSizeBytes & (inodeSizeBytes - 1)) !== 0) {
    throw fail(`s_inode_size ${inodeSizeBytes}, expected a power of two from 128 to ${blockSizeBytes}`);
  }
  if (hasRo(roCompat.extraIsize) && Math.max(half(0x15c), half(0x15e)) > Math.max(0, inodeSizeBytes - 128)) {
    throw fail(`s_min_extra_isize ${half(0x15c)}, s_want_extra_isize ${half(0x15e)}, expected at most ${inodeSizeBytes - 128}`);
  }
  const firstInode = dynamic ? word(0x54) : 11;
  if (firstInode < 11) throw fail(`s_first_ino ${firstInode}, expected 11 or more`);

  let descriptorSizeBytes = 32;
  if (is64) {
    descriptorSizeBytes = half(0xfe);
    if (descriptorSizeBytes < 64 || descriptorSizeBytes > 1024 || (descriptorSizeBytes & (descriptorSizeBytes - 1)) !== 0) {
      throw fail(`s_desc_size ${descriptorSizeBytes}, expected a power of two from 64 to 1024`);
    }
  }

  const blocksPerGroup = word(0x20);
  const clusterRatio = clusterSizeBytes / blockSizeBytes;
  if (blocksPerGroup === 0 || blocksPerGroup > 8 * blockSizeBytes * clusterRatio) {
    throw fail(`s_blocks_per_group ${blocksPerGroup}, expected 1 to ${8 * blockSizeBytes * clusterRatio}`);
  }
  const inodesPerGroup = word(0x28);
  if (inodesPerGroup < blockSizeBytes / inodeSizeBytes || inodesPerGroup > 8 * blockSizeBytes) {
    throw fail(`s_inodes_per_group ${inodesPerGroup}, expected ${blockSizeBytes / inodeSizeBytes} to ${8 * blockSizeBytes}`);
  }
  const groupCount = Math.ceil((blockCount - firstDataBlock) / blocksPerGroup);
  const inodeCount = word(0x0);
  if (inodeCount !== groupCount * inodesPerGroup) {
    throw fail(`s_inodes_count ${inodeCount}, expected ${groupCount} groups of ${inodesPerGroup}`);
  }

  let firstMetaGroup = Infinity;
  if (has(incompat.metaBg)) {
    firstMetaGroup = word(0x104);
    const descriptorBlocks = Math.ceil(groupCount / (blockSizeBytes / descriptorSizeBytes));
    if (firstMetaGroup > descriptorBlocks) {
      throw fail(`s_first_meta_bg ${firstMetaGroup}, but there are ${descriptorBlocks} descriptor blocks`);
    }
  }

  const uuidBytes = Uint8Array.from(data.subarray(0x68, 0x78));
  const hex = Buffer.from(uuidBytes).toString("hex");
  const labelEnd = data.subarray(0x78, 0x88).indexOf(0);
  const label = data.toString("utf8", 0x78, labelEnd < 0 ? 0x88 : 0x78 + labelEnd);
  const hasJournal = (features.compat & compat.hasJournal) !== 0;
  const journalInode = hasJournal ? word(0xe0) : 0;

  return {
    features,
    inodeCount,
    blockCount,
    freeClusterCount: word(0xc) + (is64 ? word(0x158) * 2 ** 32 : 0),
    overheadClusterCount: word(0x248),
    firstDataBlock,
    blockSizeBytes,
    clusterSizeBytes,
    blocksPerGroup,
    inodesPerGroup,
    groupCount,
    descriptorSizeBytes,
    firstMetaGroup,
    backupGroups: (features.compat & compat.sparseSuper2) === 0 ? undefined : [word(0x24c), word(0x250)],
    inodeSizeBytes,
    firstInode,
    systemInodes: dynamic ? [word(0x240), word(0x244), word(0x26c), word(0x280)].filter((inode) => inode !== 0) : [],
    validState: (half(0x3a) & 1) !== 0,
    label: label === "" ? undefined : label,
    uuid: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
    uuidBytes,
    needsRecovery: has(incompat.recover),
    journalInode,
    journalIsExternal: hasJournal && journalInode === 0,
    metadataChecksums,
    inodeChecksums: metadataChecksums && word(0x48) === linuxCreator,
    groupChecksums: hasRo(roCompat.gdtCsum),
    checksumSeed: has(incompat.csumSeed) ? word(0x270) : crc32cUpdate(0xffffffff, uuidBytes),
    hashSeed: [word(0xec), word(0xf0), word(0xf4), word(0xf8)],
    defaultHashVersion: data[0xfc]!,
    unsignedHash: (word(0x160) & 2) !== 0,
    fileTypeInDirectories: has(incompat.filetype),
    dirIndex: (features.compat & compat.dirIndex) !== 0,
    largeDirectories: has(incompat.largeDir),
    dirdata: has(incompat.dirdata),
    inlineData: has(incompat.inlineData),
    eaInodes: has(incompat.eaInode),
    hugeFiles: hasRo(roCompat.hugeFile),
    casefold: has(incompat.casefold),
    encrypt: has(incompat.encrypt),
  };
}
