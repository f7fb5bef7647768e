// The intent to exchange blocks of two files (xmi): what is left to exchange, since it is written anew after each step.
// Source: Linux fs/xfs/libxfs/xfs_log_format.h (xfs_xmi_log_format) and xfs_exchmaps.c; little-endian.
//
// Offset | Size | Field          | Meaning
// 16     | 8    | xmi_inode1     |
// 24     | 8    | xmi_inode2     |
// 32     | 4    | xmi_igen1      | generation of the first inode
// 36     | 4    | xmi_igen2      |
// 40     | 8    | xmi_startoff1  | first block in the first file
// 48     | 8    | xmi_startoff2  |
// 56     | 8    | xmi_blockcount |
// 64     | 8    | xmi_flags      | see below
// 72     | 8    | xmi_isize1     | bytes that the first file then has, where flag 2 is set
// 80     | 8    | xmi_isize2     |
import { corrupt } from "../../../blocks/disk-error.ts";

export interface ExchangeSide {
  readonly inode: number;
  readonly generation: number;
  readonly firstBlock: number;
  /** Undefined: as it is. */
  readonly size: bigint | undefined;
}

export interface Exchange {
  readonly first: ExchangeSide;
  readonly second: ExchangeSide;
  readonly blockCount: number;
  /** Attributes are exchanged, and not contents. */
  readonly isAttributes: boolean;
  /** Only blocks that the first file has written. */
  readonly isWrittenOnly: boolean;
  /** Of the flags, what this reader doesn't know. */
  readonly unknownFlags: bigint;
}

const flags = { attributes: 0x1n, setSizes: 0x2n, firstWritten: 0x4n } as const;
/** Of reference counts, and of the form of a small fork: a reader sees neither. */
const unseenFlags = 0x8n | 0x10n | 0x80n;
const itemBytes = 88;

/** @param format the first region of the log item */
export function parseExchange(format: Buffer): Exchange {
  if (format.length < itemBytes) throw corrupt("XFS log exchange intent", undefined, `${format.length} bytes, expected ${itemBytes}`);
  const bits = format.readBigUInt64LE(64);
  const side = (number: 0 | 1): ExchangeSide => ({
    inode: Number(format.readBigUInt64LE(16 + number * 8)),
    generation: format.readUInt32LE(32 + number * 4),
    firstBlock: Number(format.readBigUInt64LE(40 + number * 8)),
    size: (bits & flags.setSizes) === 0n ? undefined : format.readBigUInt64LE(72 + number * 8),
  });
  return {
    first: side(0),
    second: side(1),
    blockCount: Number(format.readBigUInt64LE(56)),
    isAttributes: (bits & flags.attributes) !== 0n,
    isWrittenOnly: (bits & flags.firstWritten) !== 0n,
    unknownFlags: bits & ~(flags.attributes | flags.setSizes | flags.firstWritten | unseenFlags),
  };
}
