// Inodes. Source: fs/squashfs/squashfs_fs.h and inode.c. All begin with
//
//   Offset | Size | Field   | Meaning
//   0      | 2    | type    | 1 directory, 2 file, 3 symlink, 4 block device, 5 character device, 6 FIFO, 7 socket;
//          |      |         | 8 to 14: the same, extended
//   2      | 2    | mode    | permissions
//   4      | 2×2  | uid gid | their places in the id table
//   8      | 4    | mtime   |
//   12     | 4    | number  |
//
// and go on (extended: see the layouts below, which give each field's offset).
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import type { NodeType } from "../filesystem.ts";
import type { MetadataCursor } from "./metadata.ts";

export const NO_FRAGMENT = 0xffff_ffff;
export const NO_XATTR = 0xffff_ffff;
const BASE_BYTES = 16;
/** A page: what Linux takes. */
const MAX_TARGET_BYTES = 4096;

export interface Inode {
  readonly type: NodeType;
  /** st_mode. */
  readonly mode: number;
  readonly uidIndex: number;
  readonly gidIndex: number;
  readonly mtimeSeconds: number;
  readonly number: number;
  readonly linkCount: number;
  /** In bytes; a directory's counts three for "." and "..". */
  readonly size: bigint;
  readonly xattrIndex: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Files: where the first block lies, in bytes. Directories: the position of the metadata block of their entries. */
  readonly startBlock: number;
  /** Files: within the fragment. Directories: within the metadata block. */
  readonly offset: number;
  readonly fragment: number;
  /** Files: where the list of block sizes begins. */
  readonly blockList: { readonly position: number; readonly offset: number } | undefined;
  readonly target: Uint8Array | undefined;
}

type Kind = "directory" | "file" | "symlink" | "device" | "other";

interface Layout {
  readonly kind: Kind;
  /** The type bits of st_mode. */
  readonly format: number;
  /** Length of the fixed part. */
  readonly bytes: number;
  /** Offsets of the fields; a missing one doesn't exist. */
  readonly linkCount?: number;
  readonly startBlock?: number;
  readonly size?: number;
  readonly offset?: number;
  readonly fragment?: number;
  readonly xattr?: number;
  readonly device?: number;
  /** Bytes of `size` and `startBlock` where they differ from 4. */
  readonly sizeBytes?: 2 | 8;
  readonly startBytes?: 8;
}

const formats = { directory: 0o040000, file: 0o100000, symlink: 0o120000, block: 0o060000, character: 0o020000, fifo: 0o010000, socket: 0o140000 };

const layouts: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [1, { kind: "directory", format: formats.directory, bytes: 32, startBlock: 16, linkCount: 20, size: 24, sizeBytes: 2, offset: 26 }],
  [2, { kind: "file", format: formats.file, bytes: 32, startBlock: 16, fragment: 20, offset: 24, size: 28 }],
  [3, { kind: "symlink", format: formats.symlink, bytes: 24, linkCount: 16, size: 20 }],
  [4, { kind: "device", format: formats.block, bytes: 24, linkCount: 16, device: 20 }],
  [5, { kind: "device", format: formats.character, bytes: 24, linkCount: 16, device: 20 }],
  [6, { kind: "other", format: formats.fifo, bytes: 20, linkCount: 16 }],
  [7, { kind: "other", format: formats.socket, bytes: 20, linkCount: 16 }],
  [8, { kind: "directory", format: formats.directory, bytes: 40, linkCount: 16, size: 20, startBlock: 24, offset: 34, xattr: 36 }],
  [9, { kind: "file", format: formats.file, bytes: 56, startBlock: 16, startBytes: 8, size: 24, sizeBytes: 8, linkCount: 40, fragment: 44, offset: 48, xattr: 52 }],
  // Its xattr stands behind the target.
  [10, { kind: "symlink", format: formats.symlink, bytes: 24, linkCount: 16, size: 20 }],
  [11, { kind: "device", format: formats.block, bytes: 28, linkCount: 16, device: 20, xattr: 24 }],
  [12, { kind: "device", format: formats.character, bytes: 28, linkCount: 16, device: 20, xattr: 24 }],
  [13, { kind: "other", format: formats.fifo, bytes: 24, linkCount: 16, xattr: 20 }],
  [14, { kind: "other", format: formats.socket, bytes: 24, linkCount: 16, xattr: 20 }],
]);
const EXTENDED_SYMLINK = 10;

/** What a directory entry says of an inode: one of the first seven. */
export function typeOfNumber(number: number): NodeType | undefined {
  const layout = number <= 7 ? layouts.get(number) : undefined;
  return layout === undefined ? undefined : toNodeType(layout.kind);
}

function toNodeType(kind: Kind): NodeType {
  return kind === "device" ? "other" : kind;
}

/** @param cursor stands at the inode */
export async function readInode(cursor: MetadataCursor): Promise<Inode> {
  const { position, offset } = cursor.place;
  const base = toView(await cursor.read(BASE_BYTES));
  const number = base.getUint16(0, true);
  const layout = layouts.get(number);
  if (layout === undefined) throw corrupt("squashfs inode", undefined, `type ${number} in the metadata block at byte ${position}, offset ${offset}; expected 1 to 14`);
  const rest = toView(await cursor.read(layout.bytes - BASE_BYTES));
  const field = (at: number | undefined, absent: number): number => (at === undefined ? absent : rest.getUint32(at - BASE_BYTES, true));
  const size = readSize(layout, rest);
  const startBlock = layout.startBytes === 8 ? Number(rest.getBigUint64(layout.startBlock! - BASE_BYTES, true)) : field(layout.startBlock, 0);
  const device = field(layout.device, 0);
  let target: Uint8Array | undefined;
  let xattrIndex = field(layout.xattr, NO_XATTR);
  if (layout.kind === "symlink") {
    if (size > BigInt(MAX_TARGET_BYTES)) throw unsupported(`squashfs symlink of ${size} bytes, inode ${base.getUint32(12, true)}`);
    target = Uint8Array.from(await cursor.read(Number(size)));
    if (number === EXTENDED_SYMLINK) xattrIndex = toView(await cursor.read(4)).getUint32(0, true);
  }
  return {
    type: toNodeType(layout.kind),
    mode: layout.format | (base.getUint16(2, true) & 0o7777),
    uidIndex: base.getUint16(4, true),
    gidIndex: base.getUint16(6, true),
    mtimeSeconds: base.getUint32(8, true),
    number: base.getUint32(12, true),
    linkCount: field(layout.linkCount, 1),
    size,
    xattrIndex,
    deviceMajor: (device >>> 8) & 0xfff,
    deviceMinor: (device & 0xff) | ((device >>> 12) & 0xfff00),
    startBlock,
    offset: layout.kind === "directory" ? rest.getUint16(layout.offset! - BASE_BYTES, true) : field(layout.offset, 0),
    fragment: field(layout.fragment, NO_FRAGMENT),
    blockList: layout.kind === "file" ? cursor.place : undefined,
    target,
  };
}

function readSize(layout: Layout, rest: DataView): bigint {
  if (layout.size === undefined) return 0n;
  const at = layout.size - BASE_BYTES;
  if (layout.sizeBytes === 8) return rest.getBigUint64(at, true);
  return BigInt(layout.sizeBytes === 2 ? rest.getUint16(at, true) : rest.getUint32(at, true));
}

function toView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
