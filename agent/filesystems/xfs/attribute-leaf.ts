// Blocks of extended attributes: leaves, and the nodes of the tree above them when there are several.
// Source: "XFS Algorithms & Data Structures" (leaf and node attributes), Linux fs/xfs/libxfs/xfs_da_format.h
// (xfs_da_blkinfo, xfs_attr_leaf_hdr, xfs_attr_leaf_entry, xfs_da_node_hdr).
//
// Offset v4 | v5  | Size | Field     | Meaning
// 0         | 0   | 4    | forw      | next block of the same level, by logical block; 0: none
// 8         | 8   | 2    | magic     | leaf fbee, version 5 3bee; node febe, version 5 3ebe
//           | 12  |      |           | crc, blkno, lsn, uuid, owner (see block-header.ts)
// Leaf:
// 12        | 56  | 2    | count     | attributes
// 32        | 80  | 8n   | entries   | u32 hash, u16 offset of the attribute in the block, u8 flags, u8 padding
// Node:
// 12        | 56  | 2    | count     | children
// 14        | 58  | 2    | level     | 1: the children are leaves
// 16        | 64  | 8n   | entries   | u32 hash, u32 logical block of the child
//
// Attribute with its value (flag 1): u16 valuelen, u8 namelen, name, value.
// Attribute whose value stands in blocks of its own: u32 logical block, u32 valuelen, u8 namelen, name.
import { toByteString, type ByteString } from "../byte-string.ts";

export const attributeFlags = { local: 0x1, root: 0x2, secure: 0x4, parent: 0x8, incomplete: 0x80 } as const;

export const attributeMagics = {
  4: { leaf: 0xfbee, node: 0xfebe },
  5: { leaf: 0x3bee, node: 0x3ebe },
} as const;

const layouts = {
  4: { header: 12, leafEntries: 32, nodeEntries: 16 },
  5: { header: 56, leafEntries: 80, nodeEntries: 64 },
} as const;

const entryBytes = 8;
const localHeaderBytes = 3;
const remoteHeaderBytes = 9;

/** Bytes of a value at most: XFS_XATTR_SIZE_MAX of Linux. */
const maxValueBytes = 65536;

export interface StoredAttribute {
  readonly flags: number;
  readonly name: ByteString;
  readonly value: Uint8Array | RemoteValue;
}

/** Where a value stands that has blocks of its own. */
export interface RemoteValue {
  /** Block of the attribute fork. */
  readonly block: number;
  readonly length: number;
}

export function readMagic(block: Buffer): number {
  return block.readUInt16BE(8);
}

export function readForward(block: Buffer): number {
  return block.readUInt32BE(0);
}

/** @returns level and first child of a node, or what is wrong with it */
export function parseAttributeNode(block: Buffer, version: 4 | 5): { level: number; firstChild: number } | string {
  const { header, nodeEntries } = layouts[version];
  const count = block.readUInt16BE(header);
  const level = block.readUInt16BE(header + 2);
  if (count === 0 || nodeEntries + count * entryBytes > block.length) return `${count} children`;
  return { level, firstChild: block.readUInt32BE(nodeEntries + 4) };
}

/** @returns the attributes that are whole, and what is wrong with the first that isn't */
export function parseAttributeLeaf(block: Buffer, version: 4 | 5): { attributes: StoredAttribute[]; error?: string } {
  const { header, leafEntries } = layouts[version];
  const attributes: StoredAttribute[] = [];
  const count = block.readUInt16BE(header);
  const indexEnd = leafEntries + count * entryBytes;
  if (indexEnd > block.length) return { attributes, error: `${count} attributes, more than fit` };
  let error: string | undefined;
  for (let index = 0; index < count; index++) {
    const entryAt = leafEntries + index * entryBytes;
    const parsed = parseAttribute(block, block.readUInt16BE(entryAt + 4), block[entryAt + 6]!, indexEnd);
    if (typeof parsed === "string") error ??= `attribute ${index}: ${parsed}`;
    else attributes.push(parsed);
  }
  return error === undefined ? { attributes } : { attributes, error };
}

function parseAttribute(block: Buffer, at: number, flags: number, from: number): StoredAttribute | string {
  const isLocal = (flags & attributeFlags.local) !== 0;
  const headerBytes = isLocal ? localHeaderBytes : remoteHeaderBytes;
  if (at < from || at + headerBytes > block.length) return `offset ${at}`;
  const nameAt = at + headerBytes;
  const nameEnd = nameAt + block[nameAt - 1]!;
  const length = isLocal ? block.readUInt16BE(at) : block.readUInt32BE(at + 4);
  if (nameEnd + (isLocal ? length : 0) > block.length) return `at ${at} it leaves the block`;
  if (length > maxValueBytes) return `a value of ${length} bytes, expected at most ${maxValueBytes}`;
  const name = toByteString(block, nameAt, nameEnd);
  const value = isLocal ? Uint8Array.from(block.subarray(nameEnd, nameEnd + length)) : { block: block.readUInt32BE(at), length };
  return { flags, name, value };
}
