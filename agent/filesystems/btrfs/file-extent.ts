// A run of a file. Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_file_extent_item),
// fs/btrfs/tree-checker.c for what is valid. The offset of its key is the position in the file.
//
// Offset | Size | Field          | Meaning
// 0x00   | 8    | generation     |
// 0x08   | 8    | ram_bytes      | bytes when decoded
// 0x10   | 1    | compression    | 0 none, 1 zlib, 2 lzo, 3 zstd
// 0x11   | 1    | encryption     | 0
// 0x12   | 2    | other_encoding | 0
// 0x14   | 1    | type           | 0 inline, 1 regular, 2 allocated but unwritten
// 0x15   | ..   | inline: the data
// 0x15   | 8    | disk_bytenr    | logical address; 0 for a hole
// 0x1d   | 8    | disk_num_bytes |
// 0x25   | 8    | offset         | where this run begins in the decoded extent
// 0x2d   | 8    | num_bytes      | of this run
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { readUInt64 } from "./key.ts";

const inlineHeaderBytes = 0x15;
export const regularBytes = 0x35;
/** What Linux compresses at once, and what it keeps of it. */
export const maxCompressedBytes = 128 * 1024;

export type FileExtentItem =
  | { readonly kind: "hole"; readonly lengthBytes: number }
  | { readonly kind: "inline"; readonly lengthBytes: number; readonly compression: number; readonly ramBytes: number; readonly data: Buffer }
  | {
    readonly kind: "regular"; readonly lengthBytes: number; readonly compression: number; readonly ramBytes: number;
    readonly diskLogical: number; readonly diskBytes: number; readonly offsetBytes: number;
  };

/** @param what for messages. Throws "corrupt" or "unsupported". */
export function parseFileExtent(data: Buffer, position: number, sectorBytes: number, what: string): FileExtentItem {
  const fail = (found: string) => corrupt(`${what} at ${position} of the file`, undefined, found);
  if (data.length < inlineHeaderBytes) throw fail(`${data.length} bytes`);
  const ramBytes = readUInt64(data, 0x08);
  const compression = data[0x10]!;
  const type = data[0x14]!;
  if (data[0x11] !== 0) throw unsupported("btrfs fscrypt encryption");
  if (data.readUInt16LE(0x12) !== 0) throw unsupported(`btrfs file extent encoding ${data.readUInt16LE(0x12)}`);
  if (compression > 3) throw unsupported(`btrfs compression ${compression}`);
  if (type === 0) {
    if (position !== 0) throw fail("inline data behind the start of the file");
    const inline = data.subarray(inlineHeaderBytes);
    if (compression === 0 && ramBytes !== inline.length) throw fail(`ram_bytes ${ramBytes} for ${inline.length} bytes of inline data`);
    if (ramBytes > maxCompressedBytes) throw fail(`ram_bytes ${ramBytes} of inline data`);
    return { kind: "inline", lengthBytes: ramBytes, compression, ramBytes, data: inline };
  }
  if (type > 2) throw fail(`type ${type}`);
  if (data.length !== regularBytes) throw fail(`${data.length} bytes, expected ${regularBytes}`);
  const diskLogical = readUInt64(data, 0x15);
  const diskBytes = readUInt64(data, 0x1d);
  const offsetBytes = readUInt64(data, 0x25);
  const lengthBytes = readUInt64(data, 0x2d);
  if (lengthBytes === 0 || lengthBytes % sectorBytes !== 0) throw fail(`num_bytes ${lengthBytes}`);
  if (diskLogical === 0 || type === 2) return { kind: "hole", lengthBytes };
  for (const [field, value] of [["disk_bytenr", diskLogical], ["disk_num_bytes", diskBytes], ["offset", offsetBytes], ["num_bytes", lengthBytes]] as const) {
    if (!Number.isSafeInteger(value) || value % sectorBytes !== 0) throw fail(`${field} ${value}, expected a multiple of ${sectorBytes}`);
  }
  if (!Number.isSafeInteger(diskLogical + diskBytes)) throw fail(`disk_num_bytes ${diskBytes}`);
  if (compression === 0) {
    if (offsetBytes + lengthBytes > diskBytes) throw fail(`offset ${offsetBytes} and num_bytes ${lengthBytes} in an extent of ${diskBytes}`);
  } else {
    if (ramBytes > maxCompressedBytes || diskBytes > maxCompressedBytes || diskBytes === 0) throw fail(`${diskBytes} bytes that decode to ${ramBytes}, expected at most ${maxCompressedBytes}`);
    if (offsetBytes + lengthBytes > Math.ceil(ramBytes / sectorBytes) * sectorBytes) throw fail(`offset ${offsetBytes} and num_bytes ${lengthBytes} of ${ramBytes} decoded bytes`);
  }
  return { kind: "regular", lengthBytes, compression, ramBytes, diskLogical, diskBytes, offsetBytes };
}
