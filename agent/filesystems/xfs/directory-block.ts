// A block of directory entries. The index in the blocks from 32 GiB of the directory on is not needed to list it.
// Source: "XFS Algorithms & Data Structures" (block and leaf directories), Linux fs/xfs/libxfs/xfs_da_format.h
// (xfs_dir2_data_hdr, xfs_dir3_data_hdr, xfs_dir2_data_entry, xfs_dir2_data_unused, xfs_dir2_block_tail).
//
// Offset | Size | Field      | Meaning
// 0      | 4    | magic      | version 4 "XD2B" (entries and index in one block) or "XD2D"; version 5 "XDB3" or "XDD3"
// 4      | 12   | best_free  | version 4
// 4      | 60   |            | version 5: crc, blkno, lsn, uuid, owner (see block-header.ts), best_free, padding
// then, each on a multiple of 8, an entry:
// 0      | 8    | inumber    |
// 8      | 1    | namelen    |
// 9      | n    | name       |
// then   | 1    | ftype      | only with the ftype feature
// end-2  | 2    | tag        | offset of the entry within the block
// or unused space:
// 0      | 2    | freetag    | 0xffff
// 2      | 2    | length     |
// end-2  | 2    | tag        |
// At the end of XD2B and XDB3: 8 bytes of index for each name, then
// -8     | 4    | count      | entries of the index, -4: stale, those of them that are no longer in use
import { corrupt } from "../../blocks/disk-error.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import { directoryHeader, findHeaderError, readUInt64 } from "./block-header.ts";
import { damagedBlock, isDot, toEntry, type DirectoryFormat } from "./directory-entry.ts";

const magics = {
  4: { block: 0x58443242, data: 0x58443244, headerBytes: 16 },
  5: { block: 0x58444233, data: 0x58444433, headerBytes: 64 },
} as const;

const unusedTag = 0xffff;
const entryHeaderBytes = 9;
const tagBytes = 2;
const tailBytes = 8;
const indexEntryBytes = 8;
const alignBytes = 8;

/**
 * Appends the entries of a block to `entries`. Entries of a block whose header is wrong carry that as their error;
 * where the chain of entries breaks, one entry with the error stands for the rest.
 * @param position logical block number, for messages
 * @param offsetBytes where the block lies in the volume
 * @param isChecksummed false where no checksum can be right: a block that was put together
 */
export function parseDirectoryBlock(
  format: DirectoryFormat, block: Buffer, position: number, offsetBytes: number, isChecksummed: boolean,
  entries: DirectoryEntry<number>[],
): void {
  const { superblock, directory } = format;
  const structure = `XFS directory block ${position} of inode ${directory.number}`;
  const damaged = (found: string) => entries.push(damagedBlock(position, corrupt(structure, offsetBytes, found)));
  const { block: blockMagic, data: dataMagic, headerBytes } = magics[superblock.version];
  const magic = block.readUInt32BE(0);
  if (magic !== blockMagic && magic !== dataMagic) {
    damaged(`magic 0x${magic.toString(16)}, expected 0x${dataMagic.toString(16)}`);
    return;
  }
  const headerError = superblock.version === 5 && isChecksummed ? findHeaderError(superblock, structure, block, directoryHeader, offsetBytes, directory.number) : undefined;
  const before = entries.length;
  let end = block.length;
  if (magic === blockMagic) {
    const indexed = block.readUInt32BE(end - tailBytes);
    end -= tailBytes + indexed * indexEntryBytes;
    if (end < headerBytes) {
      damaged(`an index of ${indexed} entries, more than fit`);
      return;
    }
  }
  const typeBytes = superblock.fileTypes ? 1 : 0;
  for (let at: number = headerBytes; at < end; ) {
    if (end - at < alignBytes) {
      damaged(`${end - at} bytes are left, too few for an entry`);
      return;
    }
    if (block.readUInt16BE(at) === unusedTag) {
      const length = block.readUInt16BE(at + 2);
      if (length === 0 || length % alignBytes !== 0 || at + length > end) {
        damaged(`unused space of ${length} bytes at ${at}`);
        return;
      }
      at += length;
      continue;
    }
    const nameLength = end - at < entryHeaderBytes ? 0 : block[at + 8]!;
    const nameAt = at + entryHeaderBytes;
    const next = at + ((entryHeaderBytes + nameLength + typeBytes + tagBytes + alignBytes - 1) & ~(alignBytes - 1));
    if (next > end) {
      damaged(`a name of ${nameLength} bytes at ${at} leaves the block`);
      return;
    }
    const tag = block.readUInt16BE(next - tagBytes);
    if (tag !== at) {
      damaged(`tag ${tag} of the entry at ${at}`);
      return;
    }
    if (!isDot(block, nameAt, nameLength)) {
      const fileType = typeBytes === 0 ? undefined : block[nameAt + nameLength]!;
      entries.push(toEntry(format, block, nameAt, nameLength, readUInt64(block, at), fileType, offsetBytes + at, headerError));
    }
    at = next;
  }
  if (headerError !== undefined && entries.length === before) entries.push(damagedBlock(position, headerError));
}
