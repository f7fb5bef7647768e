import { and, asc, desc, eq, inArray, sql, type SQL } from "drizzle-orm";
import type { z } from "zod";
import type { backupDiskSchema, backupSchema } from "../../../shared/api.ts";
import type { Queries } from "../../database/connect.ts";
import { backupDisks, backupJobs, restoreMounts, vmBackupContexts } from "../../database/schema.ts";

type Backup = z.infer<typeof backupSchema>;
type BackupDisk = z.infer<typeof backupDiskSchema>;

/** When a restore point was taken, for ordering; rows of an adopted catalog may lack either time. */
export const takenAt = sql<string>`CAST(COALESCE(${backupJobs.completedAt}, ${backupJobs.createdAt}, '1970-01-01 00:00:00') AS DATETIME(3))`;

/** Restore points with their disks, newest first, and the moment each is ordered by. */
export async function selectBackups(db: Queries, where: SQL | undefined, limit: number): Promise<{ backup: Backup; takenAt: string }[]> {
  const jobs = await db
    .select({
      id: backupJobs.id,
      vmName: backupJobs.vmName,
      repositoryId: vmBackupContexts.repositoryId,
      backupType: backupJobs.backupType,
      status: backupJobs.status,
      createdAt: backupJobs.createdAt,
      completedAt: backupJobs.completedAt,
      takenAt: sql<string>`DATE_FORMAT(${takenAt}, '%Y-%m-%d %H:%i:%s.%f')`,
    })
    .from(backupJobs)
    .leftJoin(vmBackupContexts, eq(vmBackupContexts.contextId, backupJobs.vmBackupContextId))
    .where(where)
    .orderBy(desc(takenAt), desc(backupJobs.id))
    .limit(limit);
  const disks = await selectDisks(db, jobs.map(({ id }) => id));
  return jobs.map((job) => ({
    takenAt: job.takenAt,
    backup: {
      backup_id: job.id,
      vm_name: job.vmName,
      repository_id: job.repositoryId ?? "",
      backup_type: job.backupType,
      status: job.status,
      created_at: job.createdAt?.toISOString() ?? null,
      completed_at: job.completedAt?.toISOString() ?? null,
      disks: disks.get(job.id) ?? [],
    },
  }));
}

/** A disk can be mounted when it is completed and has a file: the lookup that a mount does. */
async function selectDisks(db: Queries, backupIds: readonly string[]): Promise<Map<string, BackupDisk[]>> {
  const found = new Map<string, BackupDisk[]>();
  if (backupIds.length === 0) return found;
  const rows = await db
    .select({
      backupId: backupDisks.backupJobId,
      diskIndex: backupDisks.diskIndex,
      vmwareDiskKey: backupDisks.vmwareDiskKey,
      sizeGb: backupDisks.sizeGb,
      sizeBytes: backupDisks.sizeBytes,
      storedBytes: backupDisks.storedBytes,
      qcow2Path: backupDisks.qcow2Path,
      status: backupDisks.status,
      mountId: restoreMounts.id,
    })
    .from(backupDisks)
    .leftJoin(restoreMounts, and(eq(restoreMounts.backupDiskId, backupDisks.id), inArray(restoreMounts.status, ["mounting", "mounted"])))
    .where(inArray(backupDisks.backupJobId, [...backupIds]))
    .orderBy(asc(backupDisks.diskIndex), asc(backupDisks.id));
  for (const row of rows) {
    const disk: BackupDisk = {
      disk_index: row.diskIndex,
      vmware_disk_key: row.vmwareDiskKey,
      size_gb: row.sizeGb ?? 0,
      size_bytes: row.sizeBytes,
      stored_bytes: row.storedBytes,
      qcow2_path: row.qcow2Path,
      status: row.status ?? "pending",
      mountable: row.status === "completed" && row.qcow2Path !== null && row.qcow2Path !== "",
      ...(row.mountId === null ? {} : { mount_id: row.mountId }),
    };
    const list = found.get(row.backupId);
    if (list === undefined) found.set(row.backupId, [disk]);
    else list.push(disk);
  }
  return found;
}
