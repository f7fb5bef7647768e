// The names of an inode: which directory has it at which index under which name.
// Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_inode_ref, btrfs_inode_extref).
//
// Item (inode, 12, directory): entries of u64 index, u16 name_len, name.
// Item (inode, 13, hash of directory and name), where the former grew too large: entries of u64 directory,
// u64 index, u16 name_len, name.
import { corrupt } from "../../blocks/disk-error.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { byteStringToBytes, toByteString, type ByteString } from "../byte-string.ts";
import { itemTypes, objectidOf, offsetOf, readUInt64, type Key } from "./key.ts";

export interface InodeRef {
  readonly directory: number;
  readonly index: number;
  readonly name: ByteString;
}

/** The offset of the key of an extended reference. */
export function hashExtref(directory: number, name: ByteString): number {
  return crc32cUpdate(directory % 2 ** 32, byteStringToBytes(name));
}

/** The references in an item of either type. Throws "corrupt". */
export function parseInodeRefs(key: Key, data: Buffer): InodeRef[] {
  const isExtended = key.type === itemTypes.inodeExtref;
  const headerBytes = isExtended ? 18 : 10;
  const refs: InodeRef[] = [];
  for (let at = 0; at < data.length; ) {
    const nameStart = at + headerBytes;
    const nameEnd = nameStart > data.length ? Infinity : nameStart + data.readUInt16LE(nameStart - 2);
    if (nameEnd > data.length) throw corrupt(`btrfs references of inode ${objectidOf(key)}`, undefined, `a name ends at ${nameEnd} of ${data.length}`);
    refs.push({
      directory: isExtended ? readUInt64(data, at) : offsetOf(key),
      index: readUInt64(data, isExtended ? at + 8 : at),
      name: toByteString(data, nameStart, nameEnd),
    });
    at = nameEnd;
  }
  return refs;
}

/** The item's data again, from its references. */
export function buildInodeRefs(key: Key, refs: readonly InodeRef[]): Buffer {
  const isExtended = key.type === itemTypes.inodeExtref;
  return Buffer.concat(refs.map(({ directory, index, name }) => {
    const bytes = byteStringToBytes(name);
    const header = Buffer.alloc(isExtended ? 18 : 10);
    if (isExtended) header.writeBigUInt64LE(BigInt(directory), 0);
    header.writeBigUInt64LE(BigInt(index), isExtended ? 8 : 0);
    header.writeUInt16LE(bytes.length, header.length - 2);
    return Buffer.concat([header, bytes]);
  }));
}
