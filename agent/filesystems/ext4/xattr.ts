// Extended attributes: entries in the body of the inode after its fields, and in a block of their own.
// Source: Linux Documentation/filesystems/ext4/attributes.rst.
//
// In the inode: u32 magic 0xea020000 at 128 + i_extra_isize, then the entries; values are counted
// from the first entry. In the block, from its start:
//
// Offset | Size | Field       | Meaning
// 0x00   | 4    | h_magic     | 0xea020000
// 0x08   | 4    | h_blocks    | 1
// 0x10   | 4    | h_checksum  | crc32c of the block's number and the block
// 0x20   | ..   | entries     | values are counted from the start of the block
//
// Entry:
// 0x0    | 1    | e_name_len    |
// 0x1    | 1    | e_name_index  | which prefix the name has
// 0x2    | 2    | e_value_offs  |
// 0x4    | 4    | e_value_inum  | inode that holds the value, or 0
// 0x8    | 4    | e_value_size  |
// 0xc    | 4    | e_hash        | of the name and the value's checksum, where an inode holds the value
// 0x10   | ..   | e_name        | padded to 4 bytes; four zero bytes end the list
import type { MaybePromise } from "../../blocks/block-source.ts";
import { crc32cUpdate, crc32cUpdateUint32 } from "../../blocks/crc32c.ts";
import { DiskError, corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { asBuffer, toByteString, type ByteString } from "../byte-string.ts";
import { toPosixAcl } from "./acl.ts";
import type { Contents } from "./contents.ts";
import { inodeFlags, type Inode } from "./inode.ts";
import type { InodeTable } from "./inode-table.ts";
import { isValidBlockRange } from "./extent-node.ts";

const magic = 0xea020000;
const goodOldInodeSize = 128;
const blockHeaderBytes = 32;
const entryHeaderBytes = 16;
const systemIndex = 7;
/** getxattr never returns more: XATTR_SIZE_MAX. */
const maxValueBytes = 65_536;

/** Prefix by e_name_index. Indexes not here (5 Lustre, 7 system, 9 encryption) Linux never shows. */
const prefixes: Readonly<Record<number, ByteString>> = {
  1: "user.",
  2: "system.posix_acl_access",
  3: "system.posix_acl_default",
  4: "trusted.",
  6: "security.",
  8: "system.richacl",
  10: "gnu.",
};

interface Entry {
  readonly index: number;
  readonly name: ByteString;
  readonly valueInode: number;
  readonly valueSize: number;
  readonly hash: number;
  /** Undefined when the value lies in an inode of its own. */
  readonly value: Buffer | undefined;
}

/** All extended attributes as Linux shows them; those after a damaged place are missing, and `error` says so. */
export async function readAttributes(
  inode: Inode, inodes: InodeTable, contents: Contents,
): Promise<{ xattrs: Map<ByteString, Uint8Array>; error: DiskError | undefined }> {
  const xattrs = new Map<ByteString, Uint8Array>();
  let firstError: DiskError | undefined;
  const collect = async (list: () => MaybePromise<Entry[]>) => {
    try {
      for (const entry of await list()) {
        const prefix = prefixes[entry.index];
        if (prefix === undefined) continue;
        try {
          const name = prefix + entry.name;
          // The inode's body comes first, and what stands there wins.
          if (!xattrs.has(name)) xattrs.set(name, toShownValue(entry.index, entry.value ?? (await readValueInode(inode, entry, inodes, contents))));
        } catch (error) {
          firstError ??= toDiskError(error);
        }
      }
    } catch (error) {
      firstError ??= toDiskError(error);
    }
  };
  await collect(() => readBodyEntries(inode));
  if (inode.attributeBlock !== 0) await collect(() => readBlockEntries(inode, contents));
  return { xattrs, error: firstError };
}

function toShownValue(index: number, value: Buffer): Uint8Array {
  return index === 2 || index === 3 ? toPosixAcl(value) : Uint8Array.from(value);
}

/** The value of "system.data" in the inode's body: the second part of inline data. */
export function findInlineAttribute(inode: Inode): Buffer | undefined {
  for (const entry of readBodyEntries(inode)) {
    if (entry.index !== systemIndex || entry.name !== "data") continue;
    if (entry.value !== undefined) return entry.value;
    throw corrupt(`ext4 inode ${inode.number} inline data`, inode.offsetBytes, `its second part lies in inode ${entry.valueInode}`);
  }
  return undefined;
}

function readBodyEntries(inode: Inode): Entry[] {
  const start = goodOldInodeSize + inode.extraSizeBytes;
  // An i_extra_isize of 0 leaves no place that could be told from the inode's own fields.
  if (inode.extraSizeBytes === 0 || start + 8 > inode.bytes.length) return [];
  if (inode.bytes.readUInt32LE(start) !== magic) return [];
  const area = inode.bytes.subarray(start + 4);
  return parseEntries(area, 0, `ext4 inode ${inode.number} extended attributes`, inode.offsetBytes + start + 4);
}

async function readBlockEntries(inode: Inode, contents: Contents): Promise<Entry[]> {
  const { blockSizeBytes, metadataChecksums, checksumSeed } = contents.superblock;
  const block = inode.attributeBlock;
  const what = `ext4 inode ${inode.number} extended attribute block`;
  const offset = block * blockSizeBytes;
  if (!isValidBlockRange(contents.superblock, block, 1)) throw corrupt(what, inode.offsetBytes + 0x68, `block ${block}, outside the filesystem`);
  const data = asBuffer(await contents.source.read(offset, blockSizeBytes));
  const found = data.readUInt32LE(0);
  if (found !== magic) throw corrupt(what, offset, `magic 0x${found.toString(16)}, expected 0xea020000`);
  if (data.readUInt32LE(8) !== 1) throw corrupt(what, offset, `h_blocks ${data.readUInt32LE(8)}, expected 1`);
  if (metadataChecksums) {
    let crc = crc32cUpdateUint32(checksumSeed, block % 2 ** 32);
    crc = crc32cUpdateUint32(crc, Math.floor(block / 2 ** 32));
    crc = crc32cUpdate(crc, data, 0, 0x10);
    crc = crc32cUpdateUint32(crc, 0);
    crc = crc32cUpdate(crc, data, 0x14);
    const stored = data.readUInt32LE(0x10);
    if (stored !== crc) throw corrupt(what, offset, `checksum 0x${stored.toString(16)}, expected 0x${crc.toString(16)}`);
  }
  return parseEntries(data, blockHeaderBytes, what, offset);
}

/** @param area values are counted from its start */
function parseEntries(area: Buffer, from: number, what: string, offsetBytes: number): Entry[] {
  const entries: Entry[] = [];
  // Bounded: each entry takes at least 16 bytes of the area.
  for (let at = from; ; ) {
    if (at + 4 > area.length) throw corrupt(what, offsetBytes + at, "the list of entries has no end");
    if (area.readUInt32LE(at) === 0) return entries;
    const nameLength = area[at]!;
    const next = at + entryHeaderBytes + ((nameLength + 3) & ~3);
    if (next > area.length) throw corrupt(what, offsetBytes + at, `name of ${nameLength} bytes leaves the area of ${area.length}`);
    const valueOffset = area.readUInt16LE(at + 2);
    const valueInode = area.readUInt32LE(at + 4);
    const valueSize = area.readUInt32LE(at + 8);
    if (valueInode === 0 && valueSize > 0 && (valueOffset > area.length || valueSize > area.length - valueOffset)) {
      throw corrupt(what, offsetBytes + at, `value of ${valueSize} bytes at ${valueOffset} leaves the area of ${area.length}`);
    }
    entries.push({
      index: area[at + 1]!,
      name: toByteString(area, at + entryHeaderBytes, at + entryHeaderBytes + nameLength),
      valueInode,
      valueSize,
      hash: area.readUInt32LE(at + 12),
      value: valueInode === 0 ? area.subarray(valueOffset, valueOffset + valueSize) : undefined,
    });
    at = next;
  }
}

async function readValueInode(inode: Inode, entry: Entry, inodes: InodeTable, contents: Contents): Promise<Buffer> {
  const what = `ext4 inode ${inode.number} extended attribute in inode ${entry.valueInode}`;
  if (entry.valueSize > maxValueBytes) throw corrupt(what, undefined, `value of ${entry.valueSize} bytes, expected at most ${maxValueBytes}`);
  const holder = await inodes.getSystem(entry.valueInode);
  if ((holder.flags & inodeFlags.eaInode) === 0) throw corrupt(what, holder.offsetBytes, "not marked as holding an attribute's value");
  if (holder.size !== entry.valueSize) throw corrupt(what, holder.offsetBytes, `i_size ${holder.size}, expected ${entry.valueSize}`);
  const value = await contents.readStart(holder, entry.valueSize);
  // Such inodes use i_atime for the value's checksum; Lustre's keep their owner instead (i_mtime, i_generation).
  const stored = holder.bytes.readUInt32LE(0x8);
  const expected = crc32cUpdate(contents.superblock.checksumSeed, value);
  const isLustre = holder.bytes.readUInt32LE(0x10) === inode.number && holder.generation === inode.generation;
  if (stored !== expected && !isLustre) {
    throw corrupt(what, holder.offsetBytes, `checksum of the value 0x${stored.toString(16)}, expected 0x${expected.toString(16)}`);
  }
  if (!isLustre && entry.hash !== hashEntry(entry.name, expected, false) && entry.hash !== hashEntry(entry.name, expected, true)) {
    throw corrupt(what, holder.offsetBytes, `hash of the entry 0x${entry.hash.toString(16)}, not that of its name and value`);
  }
  return value;
}

/** @param signed as old kernels did on machines whose char is signed */
function hashEntry(name: ByteString, valueChecksum: number, signed: boolean): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) {
    const byte = name.charCodeAt(i);
    hash = (hash << 5) ^ (hash >>> 27) ^ (signed && byte > 127 ? byte - 256 : byte);
  }
  return ((hash << 16) ^ (hash >>> 16) ^ valueChecksum) >>> 0;
}
