import type { Entry, FileInfo } from "../../shared/api.ts";
import { formatGuestPath, formatName } from "../../shared/guest-path.ts";
import { byteStringToText, isAscii, type ByteString } from "../filesystems/byte-string.ts";
import type { ListedNode, NodeInfo } from "../reader/disk-reader.ts";
import { fileTypeMask, fileTypes } from "./archive/encoder.ts";
import { formatTimestamp } from "./timestamp.ts";

/** A node as JSON shows it. */
export function toEntry(node: ListedNode): Entry {
  return toEntryIn(formatGuestPath(node.path.slice(0, -1)), node);
}

/** Many nodes: most have the parent of the one before, so its path is formatted once. */
export function toEntries(nodes: readonly ListedNode[]): Entry[] {
  let parent: readonly ByteString[] = [];
  let parentPath = "/";
  return nodes.map((node) => {
    if (!hasParent(node.path, parent)) {
      parent = node.path.slice(0, -1);
      parentPath = formatGuestPath(parent);
    }
    return toEntryIn(parentPath, node);
  });
}

export function toFileInfo(mountId: string, node: NodeInfo): FileInfo {
  const type = (node.mode ?? 0) & fileTypeMask;
  const isDevice = type === fileTypes.characterDevice || type === fileTypes.blockDevice;
  return {
    mount_id: mountId,
    ...toEntry(node),
    hard_links: node.linkCount ?? null,
    accessed_at: formatTimestamp(node.accessedAt),
    changed_at: formatTimestamp(node.changedAt),
    created_at: formatTimestamp(node.createdAt),
    xattrs: Object.fromEntries(node.xattrs.map(([name, value]) => [formatName(name), Buffer.from(value).toString("base64")])),
    ...(isDevice ? { device: { major: node.deviceMajor ?? 0, minor: node.deviceMinor ?? 0 } } : {}),
    ...(node.guest === undefined ? {} : { guest: toGuest(node.guest) }),
  };
}

function toGuest({ root, mounts }: NonNullable<NodeInfo["guest"]>): NonNullable<FileInfo["guest"]> {
  return {
    root: `/${root}`,
    mounts: mounts.map(({ source, mountPoint, type, options, volume, problem }) => ({
      source, mount_point: mountPoint, type, options, volume: volume === undefined ? null : `/${volume}`, problem: problem ?? null,
    })),
  };
}

function hasParent(path: readonly ByteString[], parent: readonly ByteString[]): boolean {
  return path.length === parent.length + 1 && parent.every((name, index) => path[index] === name);
}

/** Runs 10,000 times a page: no spreads, and one look at a name that is plain ASCII. */
function toEntryIn(parentPath: string, node: ListedNode): Entry {
  const name = node.path.at(-1) ?? "/";
  const isPlain = isAscii(name) && !name.includes("%");
  const exact = isPlain ? name : formatName(name);
  const entry: Entry = {
    name: isPlain ? name : byteStringToText(name),
    path: node.path.length === 0 ? "/" : parentPath === "/" ? `/${exact}` : `${parentPath}/${exact}`,
    type: node.type,
    size: toExactSize(node.size),
    mode: node.mode === undefined ? null : (node.mode & 0o7777).toString(8).padStart(4, "0"),
    uid: node.uid ?? null,
    gid: node.gid ?? null,
    modified_at: formatTimestamp(node.modifiedAt),
  };
  if (node.symlinkTarget !== undefined) entry.symlink_target = byteStringToText(node.symlinkTarget);
  if (node.error !== undefined) entry.error = { code: node.error.code, detail: node.error.detail };
  return entry;
}

/** Beyond 2^53 − 1 as a decimal string, never rounded. */
function toExactSize(size: number | bigint | undefined): number | string | null {
  if (size === undefined) return null;
  if (typeof size === "number") return size;
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : size.toString();
}
