// The superblock. Source: the Linux kernel's Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h.
// Little-endian throughout.
//
//   Offset | Size | Field               | Meaning
//   0      | 4    | magic               | "hsqs"
//   4      | 4    | inodes              | how many
//   8      | 4    | time                | of writing
//   12     | 4    | block size          | 4 KiB to 1 MiB, a power of two
//   16     | 4    | fragments           | how many
//   20     | 2    | compression         | 1 gzip, 2 lzma, 3 lzo, 4 xz, 5 lz4, 6 zstd
//   22     | 2    | block log           | log2 of the block size
//   24     | 2    | flags               | how it was made
//   26     | 2    | ids                 | how many
//   28     | 4    | version             | major, minor: 4, 0
//   32     | 8    | root                | inode: metadata block and offset (see metadata.ts)
//   40     | 8    | bytes used          |
//   48     | 8    | id table            | where each begins; all ones: there is none
//   56     | 8    | xattr id table      |
//   64     | 8    | inode table         |
//   72     | 8    | directory table     |
//   80     | 8    | fragment table      |
//   88     | 8    | export table        | not needed to read
import { corrupt, unsupported } from "../../blocks/disk-error.ts";

export const SUPERBLOCK_BYTES = 96;
export const MAGIC = 0x73717368;

const MIN_BLOCK_BYTES = 4096;
const MAX_BLOCK_BYTES = 1024 * 1024;
const NO_TABLE = 0xffff_ffff_ffff_ffffn;

export type Compression = "gzip" | "lzo" | "xz" | "lz4" | "zstd";

const compressions: ReadonlyMap<number, Compression> = new Map([[1, "gzip"], [3, "lzo"], [4, "xz"], [5, "lz4"], [6, "zstd"]]);
const LZMA = 2;

export interface Superblock {
  readonly blockBytes: number;
  readonly compression: Compression;
  readonly inodeCount: number;
  readonly fragmentCount: number;
  readonly idCount: number;
  readonly rootReference: number;
  readonly bytesUsed: number;
  /** Positions of the tables in bytes; those that may be missing then are undefined. */
  readonly idTable: number;
  readonly xattrIdTable: number | undefined;
  readonly inodeTable: number;
  readonly directoryTable: number;
  readonly fragmentTable: number | undefined;
}

/**
 * @param sizeBytes of the volume
 * Throws "unsupported" for another version or an unknown compression, "corrupt" for what Linux does not mount.
 */
export function parseSuperblock(bytes: Uint8Array, sizeBytes: number): Superblock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_BYTES);
  const major = view.getUint16(28, true);
  const minor = view.getUint16(30, true);
  if (major !== 4 || minor !== 0) throw unsupported(`squashfs version ${major}.${minor}`);
  const number = view.getUint16(20, true);
  const compression = compressions.get(number);
  if (compression === undefined) throw unsupported(number === LZMA ? "squashfs compression lzma" : `squashfs compression ${number}`);

  const blockBytes = view.getUint32(12, true);
  const blockLog = view.getUint16(22, true);
  assertField(blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES && 2 ** blockLog === blockBytes, 12, `block size ${blockBytes} with logarithm ${blockLog}`);
  const idCount = view.getUint16(26, true);
  assertField(idCount > 0, 26, "no ids");
  const bytesUsed = Number(view.getBigUint64(40, true));
  assertField(bytesUsed >= SUPERBLOCK_BYTES && bytesUsed <= sizeBytes, 40, `${bytesUsed} bytes used of a volume of ${sizeBytes}`);
  const table = (offset: number): number => {
    const position = view.getBigUint64(offset, true);
    assertField(position >= BigInt(SUPERBLOCK_BYTES) && position < BigInt(bytesUsed), offset, `a table at byte ${position}, ${bytesUsed} bytes are used`);
    return Number(position);
  };
  const optionalTable = (offset: number): number | undefined => (view.getBigUint64(offset, true) === NO_TABLE ? undefined : table(offset));
  const inodeTable = table(64);
  const directoryTable = table(72);
  assertField(inodeTable < directoryTable, 72, `the directory table at byte ${directoryTable}, before the inode table at ${inodeTable}`);
  const rootReference = view.getBigUint64(32, true);
  assertField(rootReference < 1n << 48n, 32, `root inode ${rootReference}`);
  const fragmentCount = view.getUint32(16, true);
  return {
    blockBytes, compression, fragmentCount, idCount, bytesUsed, inodeTable, directoryTable,
    inodeCount: view.getUint32(4, true),
    rootReference: Number(rootReference),
    idTable: table(48),
    xattrIdTable: optionalTable(56),
    fragmentTable: fragmentCount === 0 ? undefined : table(80),
  };
}

function assertField(holds: boolean, offset: number, found: string): void {
  if (!holds) throw corrupt("squashfs superblock", offset, found);
}
