// Extended attributes small enough for the inode.
// Source: "XFS Algorithms & Data Structures" (short form attributes), Linux fs/xfs/libxfs/xfs_da_format.h
// (xfs_attr_sf_hdr, xfs_attr_sf_entry).
//
// Offset | Size | Field    | Meaning
// 0      | 2    | totsize  | bytes in all
// 2      | 1    | count    | attributes
// then, after a byte of padding, for each:
// 0      | 1    | namelen  |
// 1      | 1    | valuelen |
// 2      | 1    | flags    | see attribute-leaf.ts
// 3      |      |          | name, then value
import { toByteString } from "../byte-string.ts";
import type { StoredAttribute } from "./attribute-leaf.ts";

const headerBytes = 4;
const entryHeaderBytes = 3;

/** @returns the attributes before the first damage, and what it is */
export function parseShortformAttributes(fork: Buffer): { attributes: StoredAttribute[]; error?: string } {
  const attributes: StoredAttribute[] = [];
  if (fork.length < headerBytes) return { attributes, error: `${fork.length} bytes, too few for its header` };
  const total = fork.readUInt16BE(0);
  if (total < headerBytes || total > fork.length) return { attributes, error: `totsize ${total}, but the fork has ${fork.length} bytes` };
  let at = headerBytes;
  for (let rest = fork[2]!; rest > 0; rest--) {
    if (at + entryHeaderBytes > total) return { attributes, error: `${rest} more attributes from byte ${at} on, but it has ${total}` };
    const nameAt = at + entryHeaderBytes;
    const valueAt = nameAt + fork[at]!;
    const next = valueAt + fork[at + 1]!;
    if (next > total) return { attributes, error: `an attribute at ${at} leaves its ${total} bytes` };
    attributes.push({ flags: fork[at + 2]!, name: toByteString(fork, nameAt, valueAt), value: Uint8Array.from(fork.subarray(valueAt, next)) });
    at = next;
  }
  return { attributes };
}
