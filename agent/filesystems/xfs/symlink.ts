// The target of a symlink: in the inode, or in blocks of its own.
// Source: "XFS Algorithms & Data Structures" (symbolic links), Linux fs/xfs/libxfs/xfs_format.h (xfs_dsymlink_hdr).
//
// On version 5 each extent of the target begins with a header:
// Offset | Size | Field    | Meaning
// 0      | 4    | sl_magic | "XSLM"
// 4      | 4    | sl_offset| of these bytes within the target
// 8      | 4    | sl_bytes |
// 12     | 44   |          | crc, uuid, owner, blkno, lsn (see block-header.ts)
import { corrupt } from "../../blocks/disk-error.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import { findHeaderError, symlinkHeader } from "./block-header.ts";
import type { Contents } from "./contents.ts";
import { forkFormats, type Inode } from "./inode.ts";

const magic = 0x58534c4d;
const headerBytes = 56;
/** XFS_SYMLINK_MAXLEN of Linux. */
const maxTargetBytes = 1024;

export async function readTarget(contents: Contents, inode: Inode): Promise<ByteString> {
  const fail = (found: string) => corrupt(`XFS symlink inode ${inode.number}`, inode.offsetBytes, found);
  const size = Number(inode.size);
  if (size === 0 || size > maxTargetBytes) throw fail(`di_size ${size}, expected 1 to ${maxTargetBytes}`);
  const target = inode.data.format === forkFormats.local ? inode.data.bytes.subarray(0, size) : await readRemoteTarget(contents, inode, size);
  const end = target.indexOf(0);
  if (target.length < size) throw fail(`${target.length} bytes of ${size}`);
  return toByteString(target, 0, end < 0 ? size : end);
}

async function readRemoteTarget(contents: Contents, inode: Inode, size: number): Promise<Buffer> {
  const { superblock } = contents;
  const structure = `XFS symlink inode ${inode.number}`;
  const target = Buffer.alloc(size);
  const blocks = Math.ceil(size / (superblock.blockSizeBytes - (superblock.version === 5 ? headerBytes : 0)));
  let filled = 0;
  for (const run of await contents.mapWhole(inode, inode.data, 0, blocks)) {
    const bytes = Buffer.from(await contents.source.read(run.offsetBytes, run.count * superblock.blockSizeBytes));
    let from = 0;
    let length = Math.min(bytes.length, size - filled);
    if (superblock.version === 5) {
      const fail = (found: string) => corrupt(structure, run.offsetBytes, found);
      if (bytes.readUInt32BE(0) !== magic) throw fail(`magic 0x${bytes.readUInt32BE(0).toString(16)}, expected 0x58534c4d`);
      const found = findHeaderError(superblock, structure, bytes, symlinkHeader, run.offsetBytes, inode.number);
      if (found !== undefined) throw found;
      from = headerBytes;
      length = Math.min(bytes.length - headerBytes, size - filled);
      if (bytes.readUInt32BE(4) !== filled || bytes.readUInt32BE(8) !== length) {
        throw fail(`bytes ${bytes.readUInt32BE(4)} and ${bytes.readUInt32BE(8)} more, expected ${filled} and ${length}`);
      }
    }
    target.set(bytes.subarray(from, from + length), filled);
    filled += length;
  }
  return target.subarray(0, filled);
}
