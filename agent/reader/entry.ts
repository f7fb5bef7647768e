import type { Entry } from "../../shared/api.ts";
import { formatGuestPath, formatName } from "../../shared/guest-path.ts";
import { byteStringToText, isAscii } from "../filesystems/byte-string.ts";
import type { ListedNode } from "./disk-reader.ts";
import { formatTimestamp } from "./timestamp.ts";

/** A node as JSON shows it. */
export function toEntry(node: ListedNode): Entry {
  return toEntryIn(formatGuestPath(node.path.slice(0, -1)), node);
}

/** The same with the path of its folder at hand. No spreads, and one look at a name that is plain ASCII: may run 10,000 times a page. */
export function toEntryIn(parentPath: string, node: ListedNode): Entry {
  const name = node.path.at(-1) ?? "/";
  const isPlain = isAscii(name) && !name.includes("%");
  const exact = isPlain ? name : formatName(name);
  const entry: Entry = {
    name: isPlain ? name : byteStringToText(name),
    path: node.path.length === 0 ? "/" : parentPath === "/" ? `/${exact}` : `${parentPath}/${exact}`,
    type: node.type,
    size: toExactSize(node.size),
    mode: node.mode === undefined ? null : formatMode(node.mode),
    uid: node.uid ?? null,
    gid: node.gid ?? null,
    modified_at: formatTimestamp(node.modifiedAt),
  };
  if (node.symlinkTarget !== undefined) entry.symlink_target = byteStringToText(node.symlinkTarget);
  if (node.type === "file" && node.linkCount !== undefined && node.linkCount > 1) entry.hard_links = node.linkCount;
  if (node.error !== undefined) entry.error = { code: node.error.code, detail: node.error.detail };
  return entry;
}

/** Beyond 2^53 − 1 as a decimal string, never rounded. */
function toExactSize(size: number | bigint | undefined): number | string | null {
  if (size === undefined) return null;
  if (typeof size === "number") return size;
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : size.toString();
}

/** Permissions in octal, four digits. */
export function formatMode(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
