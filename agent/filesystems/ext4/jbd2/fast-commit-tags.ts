// The fast commit area: small logical changes since the last full commit, as tags back to back,
// little-endian (unlike the rest of the journal). Each fast commit begins a block and ends in a tail.
// Source: Linux Documentation/filesystems/ext4/journal.rst ("Fast commits") and fs/ext4/fast_commit.c.
//
// Tag:
// 0x0 | 2 | fc_tag
// 0x2 | 2 | fc_len | bytes that follow
//
// 1 add range:  u32 inode, then an extent tree leaf entry of 12 bytes
// 2 del range:  u32 inode, u32 first logical block, u32 blocks
// 3 create, 4 link, 5 unlink: u32 parent inode, u32 inode, name
// 6 inode:      u32 inode, then the inode as it lies in the inode table
// 7 pad
// 8 tail:       u32 transaction, u32 crc32c of all tags since the last tail, up to this field
// 9 head:       u32 features (none known), u32 transaction
import { crc32cUpdate } from "../../../blocks/crc32c.ts";
import { corrupt, unsupported } from "../../../blocks/disk-error.ts";
import { toByteString, type ByteString } from "../../byte-string.ts";
import type { JournalSuperblock } from "./journal-superblock.ts";
import type { LogReader } from "./log-reader.ts";

const tagCode = { addRange: 1, delRange: 2, create: 3, link: 4, unlink: 5, inode: 6, pad: 7, tail: 8, head: 9 } as const;
const tagHeaderBytes = 4;
const maxWrittenLength = 32_768;
const smallestInodeBytes = 128;

/** mke2fs gives the area 256 blocks; more than this many bytes of it are not replayed but refused. */
const maxAreaBytes = 64 * 1024 * 1024;

export type FastCommitTag =
  | { readonly kind: "add-range"; readonly inode: number; readonly logical: number; readonly count: number; readonly physical: number; readonly unwritten: boolean }
  | { readonly kind: "del-range"; readonly inode: number; readonly logical: number; readonly count: number }
  | { readonly kind: "create" | "link" | "unlink"; readonly parent: number; readonly inode: number; readonly name: ByteString }
  | { readonly kind: "inode"; readonly inode: number; readonly bytes: Buffer };

/**
 * The changes of all whole fast commits that follow the full commit before `sequence`. The first that
 * isn't whole ends the list: it was being written when the machine stopped.
 */
export async function scanFastCommits(
  log: LogReader, journal: JournalSuperblock, sequence: number, inodeSizeBytes: number,
): Promise<FastCommitTag[]> {
  const area = journal.fastCommitBlocks;
  if (area === undefined || area.start >= area.end) return [];
  if ((area.end - area.start) * log.blockSizeBytes > maxAreaBytes) {
    throw unsupported(`jbd2 fast commit area of ${area.end - area.start} blocks, more than ${maxAreaBytes} bytes`);
  }
  const whole: FastCommitTag[] = [];
  let pending: FastCommitTag[] = [];
  let crc = 0;
  for (let block = area.start; block < area.end; block++) {
    // A copy: the tags keep parts of it.
    const bytes = Buffer.from(await log.read(block));
    if (block === area.start && bytes.readUInt16LE(0) !== tagCode.head) return [];
    for (let at = 0; at + tagHeaderBytes <= bytes.length; ) {
      const code = bytes.readUInt16LE(at);
      const length = bytes.readUInt16LE(at + 2);
      const value = at + tagHeaderBytes;
      const end = value + length;
      if (end > bytes.length || !isValidLength(code, length, inodeSizeBytes)) return whole;
      if (code === tagCode.tail) {
        crc = crc32cUpdate(crc, bytes, at, value + 4);
        if (bytes.readUInt32LE(value) !== sequence || bytes.readUInt32LE(value + 4) !== crc) return whole;
        for (const tag of pending) whole.push(tag);
        pending = [];
        crc = 0;
      } else {
        if (code === tagCode.head) {
          const features = bytes.readUInt32LE(value);
          if (features !== 0) throw unsupported(`ext4 fast commit feature 0x${features.toString(16)}`);
          if (bytes.readUInt32LE(value + 4) !== sequence) return whole;
        }
        crc = crc32cUpdate(crc, bytes, at, end);
        const tag = parseTag(code, bytes, value, end, log.offsetOf(block) + at);
        if (tag !== undefined) pending.push(tag);
      }
      at = end;
    }
  }
  return whole;
}

function isValidLength(code: number, length: number, inodeSizeBytes: number): boolean {
  switch (code) {
    case tagCode.addRange: return length === 16;
    case tagCode.delRange: return length === 12;
    case tagCode.create:
    case tagCode.link:
    case tagCode.unlink: return length >= 9 && length <= 8 + 255;
    case tagCode.inode: return length >= 4 + smallestInodeBytes && length <= 4 + inodeSizeBytes;
    case tagCode.pad: return true;
    case tagCode.tail: return length >= 8;
    case tagCode.head: return length === 8;
    default: return false;
  }
}

function parseTag(code: number, bytes: Buffer, at: number, end: number, offsetBytes: number): FastCommitTag | undefined {
  const word = (offset: number) => bytes.readUInt32LE(at + offset);
  switch (code) {
    case tagCode.addRange: {
      const stored = bytes.readUInt16LE(at + 8);
      const unwritten = stored > maxWrittenLength;
      return {
        kind: "add-range", inode: word(0), logical: word(4), count: unwritten ? stored - maxWrittenLength : stored,
        physical: bytes.readUInt16LE(at + 10) * 2 ** 32 + word(12), unwritten,
      };
    }
    case tagCode.delRange: return { kind: "del-range", inode: word(0), logical: word(4), count: word(8) };
    case tagCode.create:
    case tagCode.link:
    case tagCode.unlink: {
      const kind = code === tagCode.create ? "create" : code === tagCode.link ? "link" : "unlink";
      return { kind, parent: word(0), inode: word(4), name: toByteString(bytes, at + 8, end) };
    }
    case tagCode.inode: return { kind: "inode", inode: word(0), bytes: bytes.subarray(at + 4, end) };
    case tagCode.pad:
    case tagCode.head: return undefined;
    default: throw corrupt("ext4 fast commit tag", offsetBytes, `code ${code}`);
  }
}
