// A directory entry or extended attribute; an item may hold several, of names with the same hash.
// Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_dir_item), fs/btrfs/tree-checker.c.
//
// Offset | Size | Field    | Meaning
// 0x00   | 17   | location | key of the inode item, or of the root item of a subvolume
// 0x11   | 8    | transid  |
// 0x19   | 2    | data_len | of an extended attribute's value; 0 in directories
// 0x1b   | 2    | name_len |
// 0x1d   | 1    | type     | 1 file … 7 symlink, 8 attribute
// 0x1e   | ..   | name, then data
import { corrupt } from "../../blocks/disk-error.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { byteStringToBytes, toByteString, type ByteString } from "../byte-string.ts";
import type { NodeType } from "../filesystem.ts";
import { readKey, type Key } from "./key.ts";

export const dirItemHeaderBytes = 0x1e;
export const maxNameBytes = 255;

export interface DirItem {
  readonly location: Key;
  readonly type: number;
  readonly name: ByteString;
  readonly data: Buffer;
}

/** Names are found by this hash: CRC-32C from 0xfffffffe on, without the inversion at the end. */
export function hashName(name: ByteString): number {
  return crc32cUpdate(0xfffffffe, byteStringToBytes(name));
}

/** @param what for messages: the item and whose it is. Throws "corrupt". */
export function parseDirItems(data: Buffer, what: string): DirItem[] {
  const items: DirItem[] = [];
  for (let at = 0; at < data.length; ) {
    if (data.length - at < dirItemHeaderBytes) throw corrupt(what, undefined, `${data.length - at} bytes are left, too few for an entry`);
    const dataLength = data.readUInt16LE(at + 0x19);
    const nameLength = data.readUInt16LE(at + 0x1b);
    const nameStart = at + dirItemHeaderBytes;
    const end = nameStart + nameLength + dataLength;
    if (end > data.length || nameLength === 0 || nameLength > maxNameBytes) {
      throw corrupt(what, undefined, `a name of ${nameLength} and a value of ${dataLength} bytes at ${at} of ${data.length}`);
    }
    items.push({
      location: readKey(data, at),
      type: data[at + 0x1d]!,
      name: toByteString(data, nameStart, nameStart + nameLength),
      data: data.subarray(nameStart + nameLength, end),
    });
    at = end;
  }
  return items;
}

const types: Readonly<Record<number, NodeType>> = {
  1: "file", 2: "directory", 3: "other", 4: "other", 5: "other", 6: "other", 7: "symlink",
};

/** The type of node for the type of an entry; undefined for what no entry of a directory has. */
export function toNodeType(type: number): NodeType | undefined {
  return types[type];
}

/** Set in the type where the name is encrypted. */
export const encryptedNameBit = 0x80;
