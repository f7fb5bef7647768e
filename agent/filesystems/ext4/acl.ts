// POSIX ACLs: ext4 stores them packed, Linux shows them unpacked as system.posix_acl_access/default.
// Source: Linux fs/ext4/acl.h and include/uapi/linux/posix_acl_xattr.h, both little-endian.
//
// On disk: u32 version 1; entries of u16 tag, u16 permissions, and u32 id only for named users (tag 2)
// and named groups (tag 8). Shown: u32 version 2; entries of u16 tag, u16 permissions, u32 id,
// 0xffffffff where there is none.
import { corrupt } from "../../blocks/disk-error.ts";

const namedUser = 0x02;
const namedGroup = 0x08;
const knownTags = new Set([0x01, namedUser, 0x04, namedGroup, 0x10, 0x20]);

/** From the form on disk to what getxattr returns. */
export function toPosixAcl(stored: Buffer): Uint8Array {
  const fail = (found: string) => corrupt("ext4 access control list", undefined, found);
  if (stored.length < 4) throw fail(`${stored.length} bytes, expected 4 or more`);
  if (stored.readUInt32LE(0) !== 1) throw fail(`version ${stored.readUInt32LE(0)}, expected 1`);
  const shown = Buffer.alloc(4 + Math.floor((stored.length - 4) / 4) * 8);
  shown.writeUInt32LE(2, 0);
  let end = 4;
  for (let at = 4; at < stored.length; ) {
    if (stored.length - at < 4) throw fail(`${stored.length - at} bytes are left, too few for an entry`);
    const tag = stored.readUInt16LE(at);
    if (!knownTags.has(tag)) throw fail(`tag 0x${tag.toString(16)}`);
    const named = tag === namedUser || tag === namedGroup;
    if (named && stored.length - at < 8) throw fail("the last entry lacks its id");
    shown.writeUInt16LE(tag, end);
    shown.writeUInt16LE(stored.readUInt16LE(at + 2), end + 2);
    shown.writeUInt32LE(named ? stored.readUInt32LE(at + 4) : 0xffffffff, end + 4);
    end += 8;
    at += named ? 8 : 4;
  }
  return Uint8Array.from(shown.subarray(0, end));
}
