// A directory small enough for its inode.
// Source: "XFS Algorithms & Data Structures" (short form directories), Linux fs/xfs/libxfs/xfs_da_format.h
// (xfs_dir2_sf_hdr, xfs_dir2_sf_entry).
//
// Offset | Size   | Field    | Meaning
// 0      | 1      | count    | entries
// 1      | 1      | i8count  | not 0: inode numbers have 8 bytes, else 4
// 2      | 4 or 8 | parent   | inode of ".."
// then, for each entry:
// 0      | 1      | namelen  |
// 1      | 2      | offset   | what its position would be in a block
// 3      | n      | name     |
// then   | 1      | ftype    | only with the ftype feature
// then   | 4 or 8 | inumber  |
import { corrupt } from "../../blocks/disk-error.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import { readUInt64 } from "./block-header.ts";
import { damagedBlock, isDot, toEntry, type DirectoryFormat } from "./directory-entry.ts";

const headerBytes = 2;
const entryHeaderBytes = 3;

/** The entries; where their chain breaks, one entry with the error stands for the rest. */
export function parseShortform(format: DirectoryFormat): DirectoryEntry<number>[] {
  const { directory, superblock } = format;
  const data = directory.data.bytes.subarray(0, Number(directory.size));
  const entries: DirectoryEntry<number>[] = [];
  const fail = (found: string) => damagedBlock(0, corrupt(`XFS short form directory inode ${directory.number}`, directory.offsetBytes, found));
  if (data.length < headerBytes + 4) return [fail(`${data.length} bytes, too few for its header`)];
  const numberBytes = data[1] === 0 ? 4 : 8;
  const typeBytes = superblock.fileTypes ? 1 : 0;
  let at = headerBytes + numberBytes;
  for (let rest = data[0]!; rest > 0; rest--) {
    const nameLength = at + entryHeaderBytes <= data.length ? data[at]! : 0;
    const nameAt = at + entryHeaderBytes;
    const next = nameAt + nameLength + typeBytes + numberBytes;
    if (next > data.length) {
      entries.push(fail(`${rest} more entries from byte ${at} on, but it has ${data.length}`));
      break;
    }
    const fileType = typeBytes === 0 ? undefined : data[nameAt + nameLength]!;
    const numberAt = next - numberBytes;
    const node = numberBytes === 4 ? data.readUInt32BE(numberAt) : readUInt64(data, numberAt);
    if (!isDot(data, nameAt, nameLength)) entries.push(toEntry(format, data, nameAt, nameLength, node, fileType, directory.offsetBytes, undefined));
    at = next;
  }
  return entries;
}
