// Inline data: small contents kept in the inode itself, the first 60 bytes in i_block, the rest as
// the value of the attribute "system.data" in the inode's body.
// Source: Linux Documentation/filesystems/ext4/inlinedata.rst.
import { corrupt } from "../../blocks/disk-error.ts";
import { iBlockOffset, iBlockSizeBytes, type Inode } from "./inode.ts";
import { findInlineAttribute } from "./xattr.ts";

/** The two parts of an inode's inline data; "corrupt" when the second, which is there even if empty, can't be read. */
export function readInlineParts(inode: Inode): { first: Buffer; second: Buffer } {
  const first = inode.bytes.subarray(iBlockOffset, iBlockOffset + iBlockSizeBytes);
  const second = findInlineAttribute(inode);
  if (second === undefined) throw corrupt(`ext4 inode ${inode.number} inline data`, inode.offsetBytes, `no attribute "system.data"`);
  return { first, second };
}

/** The whole contents of an inline file or link target, exactly its size. */
export function readInlineContents(inode: Inode): Buffer {
  const { first, second } = readInlineParts(inode);
  const room = first.length + second.length;
  if (inode.size > room) {
    throw corrupt(`ext4 inode ${inode.number} inline data`, inode.offsetBytes, `i_size ${inode.size}, but there is room for ${room} bytes`);
  }
  return Buffer.concat([first, second]).subarray(0, Number(inode.size));
}
