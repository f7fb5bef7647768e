import type { FileInfo } from "../../shared/api.ts";
import { formatName } from "../../shared/guest-path.ts";
import type { NodeInfo } from "../reader/disk-reader.ts";
import { toEntry } from "../reader/entry.ts";
import { formatTimestamp } from "../reader/timestamp.ts";
import { fileTypeMask, fileTypes } from "./archive/encoder.ts";

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
