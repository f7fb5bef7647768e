// POSIX ACLs: XFS stores them as root attributes, Linux shows them as system.posix_acl_access/default.
// Source: Linux fs/xfs/libxfs/xfs_format.h (struct xfs_acl, big-endian) and include/uapi/linux/posix_acl_xattr.h
// (little-endian).
//
// On disk: u32 count; entries of u32 tag, u32 id, u16 permissions, u16 padding.
// Shown: u32 version 2; entries of u16 tag, u16 permissions, u32 id, 0xffffffff where there is none.
import { corrupt } from "../../blocks/disk-error.ts";

const namedUser = 0x02;
const namedGroup = 0x08;
const knownTags = new Set([0x01, namedUser, 0x04, namedGroup, 0x10, 0x20]);
const storedEntryBytes = 12;
const shownEntryBytes = 8;

/** Root attributes that are ACLs, and the names Linux shows them by. */
export const aclNames: ReadonlyMap<string, string> = new Map([
  ["SGI_ACL_FILE", "system.posix_acl_access"],
  ["SGI_ACL_DEFAULT", "system.posix_acl_default"],
]);

/** From the form on disk to what getxattr returns. */
export function toPosixAcl(stored: Uint8Array): Uint8Array {
  const data = Buffer.from(stored);
  const fail = (found: string) => corrupt("XFS access control list", undefined, found);
  if (data.length < 4) throw fail(`${data.length} bytes, expected 4 or more`);
  const count = data.readUInt32BE(0);
  if (data.length !== 4 + count * storedEntryBytes) throw fail(`${count} entries in ${data.length} bytes`);
  const shown = Buffer.alloc(4 + count * shownEntryBytes);
  shown.writeUInt32LE(2, 0);
  for (let index = 0; index < count; index++) {
    const from = 4 + index * storedEntryBytes;
    const to = 4 + index * shownEntryBytes;
    const tag = data.readUInt32BE(from);
    if (!knownTags.has(tag)) throw fail(`tag 0x${tag.toString(16)}`);
    shown.writeUInt16LE(tag, to);
    shown.writeUInt16LE(data.readUInt16BE(from + 8), to + 2);
    shown.writeUInt32LE(tag === namedUser || tag === namedGroup ? data.readUInt32BE(from + 4) : 0xffffffff, to + 4);
  }
  return Uint8Array.from(shown);
}
