// The blocks of a jbd2 log, big-endian. Each begins with the same header.
// Source: Linux Documentation/filesystems/ext4/journal.rst.
//
// Offset | Size | Field       | Meaning
// 0x0    | 4    | h_magic     | 0xc03b3998
// 0x4    | 4    | h_blocktype | 1: descriptor, 2: commit, 5: revoke
// 0x8    | 4    | h_sequence  | transaction
//
// Descriptor: a tag for each block that follows it in the log, from 0xc on:
// 0x0    | 4    | t_blocknr       | where the block belongs
// 0x4    | 2    | t_checksum      | low half of the crc32c (csum v2)
// 0x6    | 2    | t_flags         | 1: escaped, 2: no uuid follows, 8: last tag (csum v3: 4 bytes at 0x4)
// 0x8    | 4    | t_blocknr_high  | with 64bit
// 0xc    | 4    | t_checksum      | csum v3
// ..     | 16   | uuid            | unless flag 2
// With csum v2 and v3 the last 4 bytes of descriptor and revoke blocks are their crc32c.
//
// Revoke:
// 0xc    | 4    | r_count     | bytes in use of this block
// 0x10   | ..   | blocks      | 4 bytes each, 8 with 64bit
//
// Commit:
// 0xc    | 1    | h_chksum_type | 1: CRC-32 of the transaction (csum v1)
// 0xd    | 1    | h_chksum_size | 4
// 0x10   | 4    | h_chksum[0]   | that CRC-32, or the crc32c of this block (csum v2, v3)
// 0x30   | 8    | h_commit_sec  | time of the commit
import { crc32cUpdate, crc32cUpdateUint32 } from "../../../blocks/crc32c.ts";
import { corrupt } from "../../../blocks/disk-error.ts";
import type { JournalSuperblock } from "./journal-superblock.ts";

export const blockType = { descriptor: 1, commit: 2, revoke: 5 } as const;

const headerSizeBytes = 12;
const revokeHeaderSizeBytes = 16;
const uuidSizeBytes = 16;
const tailSizeBytes = 4;
/** struct commit_header, padding included. */
const commitHeaderSizeBytes = 64;

const flagEscaped = 1;
const flagSameUuid = 2;
const flagLastTag = 8;

export interface BlockTag {
  readonly blockNumber: number;
  /** The block began with the journal's magic number, and lies in the log with zeros there. */
  readonly escaped: boolean;
  readonly checksum: number;
}

/** The tags of a descriptor block, one for each block that follows it. */
export function parseBlockTags(block: Buffer, journal: JournalSuperblock): BlockTag[] {
  const tags: BlockTag[] = [];
  const end = block.length - (journal.checksums === "none" ? 0 : tailSizeBytes);
  for (let at = headerSizeBytes; at + journal.tagSizeBytes <= end; ) {
    const flags = block.readUInt16BE(at + 6);
    const high = journal.wideBlockNumbers ? block.readUInt32BE(at + 8) : 0;
    tags.push({
      blockNumber: high * 2 ** 32 + block.readUInt32BE(at),
      escaped: (flags & flagEscaped) !== 0,
      checksum: journal.checksums === "v3" ? block.readUInt32BE(at + 12) : block.readUInt16BE(at + 4),
    });
    at += journal.tagSizeBytes + ((flags & flagSameUuid) === 0 ? uuidSizeBytes : 0);
    if ((flags & flagLastTag) !== 0) break;
  }
  return tags;
}

/** The blocks that a revoke block names; `offsetBytes` is where it lies. */
export function parseRevokedBlocks(block: Buffer, journal: JournalSuperblock, offsetBytes: number): number[] {
  const used = block.readUInt32BE(headerSizeBytes);
  const room = block.length - (journal.checksums === "none" ? 0 : tailSizeBytes);
  if (used > room) throw corrupt("jbd2 revoke block", offsetBytes, `r_count ${used}, expected at most ${room}`);
  const revoked: number[] = [];
  const size = journal.wideBlockNumbers ? 8 : 4;
  for (let at = revokeHeaderSizeBytes; at + size <= used; at += size) {
    const high = journal.wideBlockNumbers ? block.readUInt32BE(at) : 0;
    revoked.push(high * 2 ** 32 + block.readUInt32BE(at + size - 4));
  }
  return revoked;
}

/** Whether a descriptor or revoke block's own checksum is right; true where there is none. */
export function tailChecksumMatches(block: Buffer, journal: JournalSuperblock): boolean {
  if (journal.checksums === "none") return true;
  const tail = block.length - tailSizeBytes;
  const computed = crc32cUpdateUint32(crc32cUpdate(journal.checksumSeed, block, 0, tail), 0);
  return computed === block.readUInt32BE(tail);
}

/** Whether a commit block's own checksum is right, also when only its first sector reached the disk. */
export function commitChecksumMatches(block: Buffer, journal: JournalSuperblock): boolean {
  if (journal.checksums === "none") return true;
  const stored = block.readUInt32BE(0x10);
  const whole = Buffer.from(block);
  whole.writeUInt32BE(0, 0x10);
  if (crc32cUpdate(journal.checksumSeed, whole) === stored) return true;
  whole.fill(0, commitHeaderSizeBytes);
  return crc32cUpdate(journal.checksumSeed, whole) === stored;
}

/** Whether a logged block, as it lies in the log, is the one its tag was written for. */
export function dataChecksumMatches(block: Buffer, tag: BlockTag, sequence: number, journal: JournalSuperblock): boolean {
  if (journal.checksums === "none") return true;
  const seed = crc32cUpdate(journal.checksumSeed, Uint8Array.of(sequence >>> 24, sequence >>> 16, sequence >>> 8, sequence));
  const computed = crc32cUpdate(seed, block);
  return tag.checksum === (journal.checksums === "v3" ? computed : computed & 0xffff);
}

export interface CommitBlock {
  /** Seconds since 1970; exact enough to compare. */
  readonly time: bigint;
  readonly checksumType: number;
  readonly checksumSize: number;
  readonly checksum: number;
}

export function parseCommitBlock(block: Buffer): CommitBlock {
  return { time: block.readBigUInt64BE(0x30), checksumType: block[0xc]!, checksumSize: block[0xd]!, checksum: block.readUInt32BE(0x10) };
}
