// The inode item. Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_inode_item).
//
// Offset | Size | Field      | Meaning
// 0x00   | 8    | generation |
// 0x08   | 8    | transid    |
// 0x10   | 8    | size       |
// 0x18   | 8    | nbytes     |
// 0x28   | 4    | nlink      |
// 0x2c   | 4    | uid        |
// 0x30   | 4    | gid        |
// 0x34   | 4    | mode       |
// 0x38   | 8    | rdev       | device number as the kernel keeps it: minor in the low 20 bits
// 0x40   | 8    | flags      |
// 0x70   | 12   | atime      | s64 seconds, u32 nanoseconds
// 0x7c   | 12   | ctime      |
// 0x88   | 12   | mtime      |
// 0x94   | 12   | otime      | when it was created
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import type { Attributes, NodeType, Timestamp } from "../filesystem.ts";
import { readUInt64 } from "./key.ts";

export const inodeItemBytes = 160;
export const inodeFields = { generation: 0x00, size: 0x10, nbytes: 0x18, nlink: 0x28, mode: 0x34, flags: 0x40 } as const;
const inodeFlags = { nodatasum: 1n << 0n } as const;
const maxSize = 2n ** 63n - 1n;

const types: Readonly<Record<number, NodeType>> = {
  0o10: "file", 0o4: "directory", 0o12: "symlink", 0o2: "other", 0o6: "other", 0o1: "other", 0o14: "other",
};

export interface Inode {
  readonly type: NodeType;
  /** Exact up to 2^53 − 1, else rounded. */
  readonly size: number;
  readonly noDataChecksums: boolean;
}

export function inodeError(tree: number, number: number, found: string): DiskError {
  return corrupt(`btrfs inode ${number} of tree ${tree}`, undefined, found);
}

export function parseInode(tree: number, number: number, data: Buffer): Inode {
  const attributes = parseAttributes(tree, number, data);
  if (attributes instanceof DiskError) throw attributes;
  return { type: attributes.type, size: Number(attributes.size), noDataChecksums: (data.readBigUInt64LE(inodeFields.flags) & inodeFlags.nodatasum) !== 0n };
}

export function parseAttributes(tree: number, number: number, data: Buffer): Attributes | DiskError {
  if (data.length !== inodeItemBytes) return inodeError(tree, number, `the item has ${data.length} bytes, expected ${inodeItemBytes}`);
  const mode = data.readUInt32LE(inodeFields.mode);
  const type = types[mode >>> 12];
  if (type === undefined) return inodeError(tree, number, `mode 0o${mode.toString(8)}`);
  const mtimeSeconds = readSeconds(data, 0x88);
  const mtimeNanoseconds = data.readUInt32LE(0x90);
  if (mtimeSeconds === undefined || mtimeNanoseconds >= 1e9) return inodeError(tree, number, `mtime ${data.readBigInt64LE(0x88)} s ${mtimeNanoseconds} ns`);
  const size = readUInt64(data, inodeFields.size);
  if (!Number.isSafeInteger(size) && data.readBigUInt64LE(inodeFields.size) > maxSize) {
    return inodeError(tree, number, `size ${data.readBigUInt64LE(inodeFields.size)}`);
  }
  const isDevice = mode >>> 12 === 0o2 || mode >>> 12 === 0o6;
  const device = isDevice ? readUInt64(data, 0x38) : 0;
  return {
    type,
    id: `${tree}:${number}`,
    size: Number.isSafeInteger(size) ? size : data.readBigUInt64LE(inodeFields.size),
    mode,
    uid: data.readUInt32LE(0x2c),
    gid: data.readUInt32LE(0x30),
    linkCount: data.readUInt32LE(inodeFields.nlink),
    deviceMajor: Math.floor(device / 2 ** 20) % 2 ** 12,
    deviceMinor: device % 2 ** 20,
    mtimeSeconds,
    mtimeNanoseconds,
    mtimeDigits: 9,
  };
}

export function parseTimes(data: Buffer): { accessedAt: Timestamp | undefined; changedAt: Timestamp | undefined; createdAt: Timestamp | undefined } {
  return { accessedAt: parseTime(data, 0x70), changedAt: parseTime(data, 0x7c), createdAt: parseTime(data, 0x94) };
}

function parseTime(data: Buffer, at: number): Timestamp | undefined {
  const seconds = readSeconds(data, at);
  const nanoseconds = data.readUInt32LE(at + 8);
  return seconds === undefined || nanoseconds >= 1e9 ? undefined : { seconds, nanoseconds, digits: 9 };
}

function readSeconds(data: Buffer, at: number): number | undefined {
  const seconds = data.readInt32LE(at + 4) * 2 ** 32 + data.readUInt32LE(at);
  return Number.isSafeInteger(seconds) ? seconds : undefined;
}
