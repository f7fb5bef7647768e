import type { Mount } from "../../../shared/api.ts";
import type { MountRecord } from "./rows.ts";

/** A row as the API shows it. */
export function toMount({ row, disk }: MountRecord): Mount {
  return {
    mount_id: row.id,
    backup_id: disk.backupId,
    backup_disk_id: row.backupDiskId,
    disk_index: disk.diskIndex,
    agent_id: row.agentId,
    nbd_device: row.nbdDevice,
    mount_path: row.mountPath,
    filesystem_type: row.filesystemType,
    volumes: row.volumes ?? [],
    status: row.status,
    created_at: row.createdAt.toISOString(),
    last_accessed_at: row.lastAccessedAt.toISOString(),
    expires_at: row.expiresAt.toISOString(),
    ...(row.status === "failed" ? { error: { code: row.errorCode ?? "internal", detail: row.errorDetail ?? "It could not be opened." } } : {}),
  };
}
