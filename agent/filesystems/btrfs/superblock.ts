// The btrfs superblock: 4096 bytes at 64 KiB, with copies at 64 MiB and 256 GiB.
// Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_super_block), fs/btrfs/disk-io.c for what is valid.
//
// Offset | Size | Field                 | Meaning
// 0x000  | 32   | csum                  | of the bytes from 0x20 on
// 0x020  | 16   | fsid                  | UUID of the filesystem
// 0x030  | 8    | bytenr                | where this copy lies
// 0x040  | 8    | magic                 | "_BHRfS_M"
// 0x048  | 8    | generation            | of the last commit
// 0x050  | 8    | root                  | logical address of the root tree
// 0x058  | 8    | chunk_root            | of the chunk tree
// 0x060  | 8    | log_root              | of the tree of log trees; 0 without one
// 0x070  | 8    | total_bytes           |
// 0x078  | 8    | bytes_used            |
// 0x088  | 8    | num_devices           |
// 0x090  | 4    | sectorsize            |
// 0x094  | 4    | nodesize              |
// 0x098  | 4    | leafsize              | the same as nodesize
// 0x0a0  | 4    | sys_chunk_array_size  |
// 0x0a4  | 8    | chunk_root_generation |
// 0x0bc  | 8    | incompat_flags        |
// 0x0c4  | 2    | csum_type             |
// 0x0c6  | 1    | root_level            |
// 0x0c7  | 1    | chunk_root_level      |
// 0x0c8  | 1    | log_root_level        |
// 0x0c9  | 98   | dev_item              | this device: devid at 0, uuid at 0x42, fsid at 0x52
// 0x12b  | 256  | label                 |
// 0x23b  | 16   | metadata_uuid         | in node headers, with feature metadata_uuid
// 0x32b  | 2048 | sys_chunk_array       | chunks that hold the chunk tree
import { type DiskError, corrupt } from "../../blocks/disk-error.ts";
import { openChecksum, type Checksum } from "./checksum.ts";
import { assertReadable, incompat } from "./features.ts";
import { readUInt64 } from "./key.ts";

export const superblockOffsetBytes = 65_536;
export const superblockSizeBytes = 4096;
/** Where the copies lie, as far as the device reaches. */
export const mirrorOffsetsBytes = [64 * 1024 * 1024, 256 * 1024 * 1024 * 1024] as const;

/** What `hasSuperblockMagic` looks at. */
export const magicEndBytes = 0x48;

const magic = Buffer.from("_BHRfS_M", "latin1");
const minSectorBytes = 4096;
const maxNodeBytes = 65_536;
export const maxLevel = 7;
const sysChunkArrayBytes = 2048;
const changingFsid = 1n << 36n;

export interface Superblock {
  readonly offsetBytes: number;
  readonly fsid: Buffer;
  /** What stands in the headers of the nodes. */
  readonly metadataUuid: Buffer;
  readonly generation: number;
  readonly rootLogical: number;
  readonly rootLevel: number;
  readonly chunkRootLogical: number;
  readonly chunkRootLevel: number;
  readonly chunkRootGeneration: number;
  /** 0 without a log. */
  readonly logRootLogical: number;
  readonly logRootLevel: number;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly deviceCount: number;
  readonly sectorBytes: number;
  readonly nodeBytes: number;
  readonly noHoles: boolean;
  readonly checksum: Checksum;
  readonly deviceId: number;
  readonly deviceUuid: Buffer;
  readonly label: string | undefined;
  readonly sysChunkArray: Buffer;
  /** What all devices' superblocks of one commit have in common: the rest of it. */
  readonly commonBytes: Buffer;
}

/** Each device has its own: the checksum, where the copy lies, itself; and the log, which is written without a commit. */
const ownRanges = [[0x00, 0x20], [0x30, 0x38], [0x60, 0x68], [0xc8, 0x12b]] as const;

export function hasSuperblockMagic(bytes: Uint8Array): boolean {
  return magic.compare(bytes, 0x40, magicEndBytes) === 0;
}

/** @param bytes the 4096 bytes at `offsetBytes` of the device. Throws "corrupt" or "unsupported". */
export async function parseSuperblock(bytes: Buffer, offsetBytes: number): Promise<Superblock> {
  const fail = (found: string): DiskError => corrupt("btrfs superblock", offsetBytes, found);
  if (!hasSuperblockMagic(bytes)) throw fail(`magic ${JSON.stringify(bytes.toString("latin1", 0x40, 0x48))}, expected "_BHRfS_M"`);
  const checksum = await openChecksum(bytes.readUInt16LE(0xc4));
  if (!checksum.matches(bytes, 0x20, superblockSizeBytes, bytes, 0)) throw fail(`its ${checksum.name} checksum doesn't match`);
  if (readUInt64(bytes, 0x30) !== offsetBytes) throw fail(`bytenr ${readUInt64(bytes, 0x30)}, expected ${offsetBytes}`);
  const incompatFlags = bytes.readBigUInt64LE(0xbc);
  assertReadable(incompatFlags);

  const sectorBytes = bytes.readUInt32LE(0x90);
  const nodeBytes = bytes.readUInt32LE(0x94);
  if (!isPowerOfTwo(sectorBytes) || sectorBytes < minSectorBytes || sectorBytes > maxNodeBytes) throw fail(`sectorsize ${sectorBytes}`);
  if (!isPowerOfTwo(nodeBytes) || nodeBytes < sectorBytes || nodeBytes > maxNodeBytes) throw fail(`nodesize ${nodeBytes}`);
  if (bytes.readUInt32LE(0x98) !== nodeBytes) throw fail(`leafsize ${bytes.readUInt32LE(0x98)}, expected the nodesize ${nodeBytes}`);
  const address = (at: number, field: string): number => {
    const value = readUInt64(bytes, at);
    if (!Number.isSafeInteger(value) || value % sectorBytes !== 0) throw fail(`${field} ${value}, expected a multiple of ${sectorBytes}`);
    return value;
  };
  const level = (at: number, field: string): number => {
    if (bytes[at]! > maxLevel) throw fail(`${field} ${bytes[at]}, expected 0 to ${maxLevel}`);
    return bytes[at]!;
  };
  const number = (at: number, field: string): number => {
    const value = readUInt64(bytes, at);
    if (!Number.isSafeInteger(value)) throw fail(`${field} ${value}`);
    return value;
  };
  const arraySize = bytes.readUInt32LE(0xa0);
  if (arraySize > sysChunkArrayBytes) throw fail(`sys_chunk_array_size ${arraySize}, expected at most ${sysChunkArrayBytes}`);
  const deviceCount = number(0x88, "num_devices");
  if (deviceCount === 0) throw fail("num_devices 0");
  const fsid = Buffer.from(bytes.subarray(0x20, 0x30));
  const metadataUuid = (incompatFlags & incompat.metadataUuid) === 0n ? fsid : Buffer.from(bytes.subarray(0x23b, 0x24b));
  const deviceFsid = bytes.subarray(0xc9 + 0x52, 0xc9 + 0x62);
  // In the middle of a change of the UUID the two may differ.
  const changing = (bytes.readBigUInt64LE(0x38) & changingFsid) !== 0n;
  if (!changing && !deviceFsid.equals(metadataUuid)) throw fail(`dev_item.fsid ${deviceFsid.toString("hex")}, expected ${metadataUuid.toString("hex")}`);
  const labelBytes = bytes.subarray(0x12b, 0x22b);
  const labelEnd = labelBytes.indexOf(0);
  const label = labelBytes.toString("utf8", 0, labelEnd < 0 ? labelBytes.length : labelEnd);
  return {
    offsetBytes,
    fsid,
    metadataUuid,
    generation: number(0x48, "generation"),
    rootLogical: address(0x50, "root"),
    rootLevel: level(0xc6, "root_level"),
    chunkRootLogical: address(0x58, "chunk_root"),
    chunkRootLevel: level(0xc7, "chunk_root_level"),
    chunkRootGeneration: number(0xa4, "chunk_root_generation"),
    logRootLogical: address(0x60, "log_root"),
    logRootLevel: level(0xc8, "log_root_level"),
    totalBytes: number(0x70, "total_bytes"),
    usedBytes: number(0x78, "bytes_used"),
    deviceCount,
    sectorBytes,
    nodeBytes,
    noHoles: (incompatFlags & incompat.noHoles) !== 0n,
    checksum,
    deviceId: number(0xc9, "dev_item.devid"),
    deviceUuid: Buffer.from(bytes.subarray(0xc9 + 0x42, 0xc9 + 0x52)),
    label: label === "" ? undefined : label,
    sysChunkArray: Buffer.from(bytes.subarray(0x32b, 0x32b + arraySize)),
    commonBytes: withoutOwn(bytes),
  };
}

function withoutOwn(bytes: Buffer): Buffer {
  const common = Buffer.from(bytes);
  for (const [start, end] of ownRanges) common.fill(0, start, end);
  return common;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
