// A directory block: entries back to back that fill the block, little-endian. Index blocks of a
// hashed directory look like one empty entry that spans the block, so a linear reader passes over them.
// Source: Linux Documentation/filesystems/ext4/directory.rst.
//
// Offset | Size | Field     | Meaning
// 0x0    | 4    | inode     | 0: unused
// 0x4    | 2    | rec_len   | bytes to the next entry
// 0x6    | 1    | name_len  |
// 0x7    | 1    | file_type | with the filetype feature; else the (zero) high byte of name_len
// 0x8    | ..   | name      |
//
// The last 12 bytes of a checksummed block, dressed as an empty entry (struct ext4_dir_entry_tail):
// 0x0    | 4    | reserved  | 0
// 0x4    | 2    | rec_len   | 12
// 0x6    | 1    | reserved  | 0
// 0x7    | 1    | file_type | 0xde
// 0x8    | 4    | checksum  | crc32c of the block before the tail
//
// Index blocks carry their checksum after the room for their entries instead (struct dx_tail):
// at 0x20 in the root and 0x8 elsewhere: u16 limit, u16 count, then `limit` entries of 8 bytes, the
// first of which is (limit, count, block), then u32 reserved, u32 checksum.
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import type { DirectoryEntry, NodeType } from "../filesystem.ts";
import { inodeFlags, type Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

const headerSizeBytes = 8;
const smallestEntryBytes = 12;
const tailSizeBytes = 12;
const tailFileType = 0xde;
const rootInode = 2;
/** The node of an entry that stands for damage. */
export const noInode = 0;
/** Bytes of hash after the name in directories that are both encrypted and casefolded. */
const storedHashBytes = 8;

const nodeTypes: readonly (NodeType | undefined)[] = [
  undefined, "file", "directory", "other", "other", "other", "other", "symlink",
];

/** What the names of one directory need to be read. */
export interface DirectoryFormat {
  readonly superblock: Superblock;
  readonly directory: Inode;
  /** How an encrypted name is shown; undefined in directories that aren't encrypted. */
  readonly showEncryptedName: ((ciphertext: Buffer) => ByteString) | undefined;
  readonly encryptedNameError: DiskError | undefined;
}

/**
 * Appends the entries of a block to `entries`. Entries of a block whose checksum is wrong carry that
 * as their error; where the chain of entries breaks, one entry with the error stands for the rest.
 * @param block whole block, or the part of an inline directory
 * @param position logical block number, for messages
 * @param offsetBytes where the block lies in the volume
 */
export function parseDirectoryBlock(
  format: DirectoryFormat, block: Buffer, position: number, offsetBytes: number, entries: DirectoryEntry<number>[],
): void {
  const error = findChecksumError(format, block, position, offsetBytes);
  const before = entries.length;
  parseEntries(format, block, 0, position, offsetBytes, error, entries);
  if (error !== undefined && entries.length === before) entries.push(damagedBlock(position, error));
}

/** An entry that stands for what a damaged part of a directory may have held. */
export function damagedBlock(position: number, error: DiskError): DirectoryEntry<number> {
  return { name: `#damaged-directory-block-${position}`, node: noInode, type: undefined, error };
}

/** @param from where in `block` the entries begin */
export function parseEntries(
  format: DirectoryFormat, block: Buffer, from: number, position: number, offsetBytes: number, blockError: DiskError | undefined,
  entries: DirectoryEntry<number>[],
): void {
  const { superblock, directory } = format;
  const size = block.length;
  const hashBytes = (directory.flags & inodeFlags.encrypt) !== 0 && (directory.flags & inodeFlags.casefold) !== 0 ? storedHashBytes : 0;
  for (let at = from; at < size; ) {
    if (size - at < headerSizeBytes) {
      entries.push(damagedBlock(position, entryError(directory, offsetBytes + at, `${size - at} bytes are left, too few for an entry`)));
      return;
    }
    const number = block.readUInt32LE(at);
    const length = toRecordLength(block.readUInt16LE(at + 4), size);
    const nameLength = block[at + 6]!;
    const next = at + length;
    const needed = (headerSizeBytes + nameLength + (isDot(block, at, nameLength) ? 0 : hashBytes) + 3) & ~3;
    let broken: string | undefined;
    if (length < smallestEntryBytes || length % 4 !== 0) broken = `rec_len ${length}, expected a multiple of 4 from ${smallestEntryBytes} on`;
    else if (next > size) broken = `rec_len ${length} leaves the block`;
    else if (length < needed && number !== 0) broken = `rec_len ${length} is too small for a name of ${nameLength} bytes`;
    if (broken !== undefined) {
      entries.push(damagedBlock(position, entryError(directory, offsetBytes + at, broken)));
      return;
    }
    if (number !== 0 && !isDot(block, at, nameLength)) {
      entries.push(toEntry(format, block, at, number, nameLength, offsetBytes, blockError, superblock));
    }
    at = next;
  }
}

function isDot(block: Buffer, at: number, nameLength: number): boolean {
  if (nameLength > 2 || nameLength === 0 || block[at + 8] !== 0x2e) return false;
  return nameLength === 1 || block[at + 9] === 0x2e;
}

function toEntry(
  format: DirectoryFormat, block: Buffer, at: number, node: number, nameLength: number, offsetBytes: number,
  blockError: DiskError | undefined, superblock: Superblock,
): DirectoryEntry<number> {
  const type = superblock.fileTypeInDirectories ? nodeTypes[block[at + 7]! & (superblock.dirdata ? 0x0f : 0xff)] : undefined;
  const nameStart = at + headerSizeBytes;
  if (format.showEncryptedName !== undefined) {
    const name = format.showEncryptedName(block.subarray(nameStart, nameStart + nameLength));
    return { name, node, type, error: blockError ?? format.encryptedNameError! };
  }
  const name = toByteString(block, nameStart, nameStart + nameLength);
  let error = blockError;
  if (node > superblock.inodeCount) {
    error ??= entryError(format.directory, offsetBytes + at, `inode ${node}, but the filesystem has ${superblock.inodeCount}`);
  }
  if (node === rootInode || node === format.directory.number) {
    error ??= entryError(format.directory, offsetBytes + at, `inode ${node}, ${node === rootInode ? "the root directory" : "the directory itself"}`);
  }
  if (nameLength === 0 || name.includes("/") || name.includes("\0")) {
    error ??= entryError(format.directory, offsetBytes + at, `name ${JSON.stringify(name)} is empty or holds a slash or NUL`);
    const shown = nameLength === 0 ? `#unnamed-inode-${node}` : name.replaceAll("/", "_").replaceAll("\0", "_");
    return { name: shown, node, type, error };
  }
  return error === undefined ? { name, node, type } : { name, node, type, error };
}

function entryError(directory: Inode, offsetBytes: number, found: string): DiskError {
  return corrupt(`ext4 directory entry of inode ${directory.number}`, offsetBytes, found);
}

/** With 64 KiB blocks the two low bits, always zero, hold what doesn't fit in 16. */
export function toRecordLength(stored: number, blockSizeBytes: number): number {
  if (blockSizeBytes < 65_536) return stored;
  if (stored === 65_535 || stored === 0) return blockSizeBytes;
  return (stored & 65_532) | ((stored & 3) << 16);
}

function findChecksumError(format: DirectoryFormat, block: Buffer, position: number, offsetBytes: number): DiskError | undefined {
  const { superblock, directory } = format;
  if (!superblock.metadataChecksums) return undefined;
  const fail = (found: string) => corrupt(`ext4 directory block ${position} of inode ${directory.number}`, offsetBytes, found);
  const index = (directory.flags & inodeFlags.index) !== 0 ? findIndexOffset(block, position) : undefined;
  let stored: number;
  let expected: number;
  if (index !== undefined) {
    const limit = block.readUInt16LE(index);
    const count = block.readUInt16LE(index + 2);
    const tail = index + limit * 8;
    if (count > limit || tail + 8 > block.length) return fail(`index of ${count} entries with room for ${limit}, too large for the block`);
    stored = block.readUInt32LE(tail + 4);
    expected = crc32cUpdate(directory.checksumSeed, block, 0, index + count * 8);
    expected = crc32cUpdate(expected, block, tail, tail + 4);
    expected = crc32cUpdate(expected, fourZeros);
  } else {
    const tail = block.length - tailSizeBytes;
    if (block.readUInt32LE(tail) !== 0 || block.readUInt16LE(tail + 4) !== tailSizeBytes || block[tail + 6] !== 0 || block[tail + 7] !== tailFileType) {
      return fail("no checksum at its end");
    }
    stored = block.readUInt32LE(tail + 8);
    expected = crc32cUpdate(directory.checksumSeed, block, 0, tail);
  }
  return stored === expected ? undefined : fail(`checksum 0x${stored.toString(16)}, expected 0x${expected.toString(16)}`);
}

const fourZeros = new Uint8Array(4);

/** Where the index of an index block begins, or undefined for a block of entries. */
function findIndexOffset(block: Buffer, position: number): number | undefined {
  const first = toRecordLength(block.readUInt16LE(4), block.length);
  if (first === block.length && block.readUInt32LE(0) === 0) return 0x8;
  if (position === 0 && first === 12 && toRecordLength(block.readUInt16LE(12 + 4), block.length) === block.length - 12) {
    // dx_root_info: reserved zero word, hash version, its own length of 8.
    if (block.readUInt32LE(0x18) === 0 && block[0x1d] === 8) return 0x20;
  }
  return undefined;
}
