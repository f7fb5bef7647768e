// The superblock of a jbd2 journal: the first 1024 bytes of its first block, big-endian.
// Source: Linux Documentation/filesystems/ext4/journal.rst.
//
// Offset | Size | Field             | Meaning
// 0x00   | 4    | h_magic           | 0xc03b3998
// 0x04   | 4    | h_blocktype       | 3: version 1 (no feature fields), 4: version 2
// 0x0c   | 4    | s_blocksize       | that of the filesystem
// 0x10   | 4    | s_maxlen          | blocks of the journal, this one included
// 0x14   | 4    | s_first           | first block of the log
// 0x18   | 4    | s_sequence        | first transaction expected in the log
// 0x1c   | 4    | s_start           | block where it begins; 0: the log is empty
// 0x24   | 4    | s_feature_compat  | 1: commit blocks carry a CRC-32
// 0x28   | 4    | s_feature_incompat| 1: revoke, 2: 64bit, 4: async commit, 8: csum v2, 0x10: csum v3, 0x20: fast commit
// 0x2c   | 4    | s_feature_ro_compat |
// 0x30   | 16   | s_uuid            | start of every checksum
// 0x50   | 1    | s_checksum_type   | 4: crc32c
// 0x54   | 4    | s_num_fc_blocks   | blocks of the fast commit area; 0 means 256
// 0xfc   | 4    | s_checksum        | crc32c of these 1024 bytes
import { crc32cUpdate } from "../../../blocks/crc32c.ts";
import { corrupt, unsupported } from "../../../blocks/disk-error.ts";

export const journalMagic = 0xc03b3998;
const superblockV1 = 3;
const superblockV2 = 4;
const checksumCrc32c = 4;
export const journalSuperblockSizeBytes = 1024;

const compatChecksum = 0x1;
const incompat = { bit64: 0x2, asyncCommit: 0x4, csumV2: 0x8, csumV3: 0x10, fastCommit: 0x20 } as const;
const knownIncompat = 0x3f;

const defaultFastCommitBlocks = 256;
/** Without this many blocks for the log itself there is no fast commit area: JBD2_MIN_JOURNAL_BLOCKS. */
const minLogBlocks = 1024;

export interface JournalSuperblock {
  /** First block of the log; it wraps around to here. */
  readonly firstBlock: number;
  /** End of the log, exclusive. */
  readonly endBlock: number;
  /** Blocks [start, end) of the fast commit area; undefined without one. */
  readonly fastCommitBlocks: { readonly start: number; readonly end: number } | undefined;
  readonly firstSequence: number;
  /** Block where the log begins; 0 when it is empty. */
  readonly startBlock: number;
  readonly commitChecksums: boolean;
  readonly asyncCommit: boolean;
  /** Blocks carry crc32c checksums, in tags of one of two forms. */
  readonly checksums: "none" | "v2" | "v3";
  readonly wideBlockNumbers: boolean;
  readonly checksumSeed: number;
  /** Size of a block tag, without the 16 bytes of uuid that may follow. */
  readonly tagSizeBytes: number;
}

/**
 * @param bytes at least the 1024 bytes of the superblock
 * @param blockSizeBytes of the filesystem
 * @param blockCount blocks that the journal's inode has room for
 * @param offsetBytes where it lies, for messages
 */
export function parseJournalSuperblock(bytes: Buffer, blockSizeBytes: number, blockCount: number, offsetBytes: number): JournalSuperblock {
  const fail = (found: string) => corrupt("jbd2 superblock", offsetBytes, found);
  const word = (offset: number) => bytes.readUInt32BE(offset);
  if (word(0) !== journalMagic) throw fail(`magic 0x${word(0).toString(16)}, expected 0xc03b3998`);
  const type = word(4);
  if (type !== superblockV1 && type !== superblockV2) throw fail(`block type ${type}, expected 3 or 4`);
  if (word(0xc) !== blockSizeBytes) throw fail(`s_blocksize ${word(0xc)}, expected ${blockSizeBytes}`);
  const maxLength = word(0x10);
  if (maxLength > blockCount) throw fail(`s_maxlen ${maxLength}, but the journal's inode has ${blockCount} blocks`);
  const firstBlock = word(0x14);
  if (firstBlock === 0 || firstBlock >= maxLength) throw fail(`s_first ${firstBlock}, expected 1 to ${maxLength - 1}`);

  const wide = type === superblockV2;
  const compat = wide ? word(0x24) : 0;
  const features = wide ? word(0x28) : 0;
  const readOnlyFeatures = wide ? word(0x2c) : 0;
  const unknown = (features & ~knownIncompat) >>> 0;
  if (unknown !== 0) throw unsupported(`jbd2 feature incompat 0x${unknown.toString(16)}`);
  if (readOnlyFeatures !== 0) throw unsupported(`jbd2 feature ro_compat 0x${readOnlyFeatures.toString(16)}`);
  const has = (bit: number) => (features & bit) !== 0;
  const csumV2 = has(incompat.csumV2);
  const csumV3 = has(incompat.csumV3);
  const commitChecksums = (compat & compatChecksum) !== 0;
  if (csumV2 && csumV3) throw fail("checksum versions 2 and 3 at once");
  if ((csumV2 || csumV3) && commitChecksums) throw fail("checksum version 1 beside a later one");
  if (csumV2 || csumV3) {
    if (bytes[0x50] !== checksumCrc32c) throw unsupported(`jbd2 checksum type ${bytes[0x50]}, expected 4 (crc32c)`);
    let expected = crc32cUpdate(0xffffffff, bytes, 0, 0xfc);
    expected = crc32cUpdate(expected, new Uint8Array(4));
    expected = crc32cUpdate(expected, bytes, 0x100, journalSuperblockSizeBytes);
    if (word(0xfc) !== expected) throw fail(`checksum 0x${word(0xfc).toString(16)}, expected 0x${expected.toString(16)}`);
  }

  let endBlock = maxLength;
  let fastCommitBlocks: JournalSuperblock["fastCommitBlocks"];
  if (has(incompat.fastCommit)) {
    const count = word(0x54) || defaultFastCommitBlocks;
    if (maxLength - count >= minLogBlocks) endBlock = maxLength - count;
    fastCommitBlocks = { start: endBlock + 1, end: maxLength };
  }
  const startBlock = word(0x1c);
  if (startBlock !== 0 && (startBlock < firstBlock || startBlock >= endBlock)) {
    throw fail(`s_start ${startBlock}, expected ${firstBlock} to ${endBlock - 1}`);
  }
  return {
    firstBlock,
    endBlock,
    fastCommitBlocks,
    firstSequence: word(0x18),
    startBlock,
    commitChecksums,
    asyncCommit: has(incompat.asyncCommit),
    checksums: csumV3 ? "v3" : csumV2 ? "v2" : "none",
    wideBlockNumbers: has(incompat.bit64),
    checksumSeed: crc32cUpdate(0xffffffff, bytes, 0x30, 0x40),
    tagSizeBytes: csumV3 ? 16 : 8 + (csumV2 ? 2 : 0) + (has(incompat.bit64) ? 4 : 0),
  };
}
