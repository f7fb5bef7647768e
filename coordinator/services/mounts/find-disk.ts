import { eq } from "drizzle-orm";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { backupDisks, backupJobs, vmBackupContexts } from "../../database/schema.ts";

export interface MountableDisk {
  readonly id: number;
  readonly backupId: string;
  readonly diskIndex: number;
  readonly qcow2Path: string;
  readonly repositoryId: string;
}

/**
 * The disk of a backup that a mount opens.
 * @throws PluckError backup_not_found, disk_not_found (with the indexes there are), backup_incomplete
 */
export async function findDisk({ ctx, input }: Call<{ backupId: string; diskIndex: number }>): Promise<MountableDisk> {
  const { backupId, diskIndex } = input;
  const found = await ctx.db
    .select({ id: backupDisks.id, backupId: backupDisks.backupJobId, diskIndex: backupDisks.diskIndex, status: backupDisks.status, qcow2Path: backupDisks.qcow2Path, repositoryId: vmBackupContexts.repositoryId })
    .from(backupDisks)
    .innerJoin(vmBackupContexts, eq(vmBackupContexts.contextId, backupDisks.vmBackupContextId))
    .where(eq(backupDisks.backupJobId, backupId))
    .orderBy(backupDisks.diskIndex);
  // SQL compares without regard to trailing blanks, and an adopted catalog without regard to case; we don't.
  const disks = found.filter((candidate) => candidate.backupId === backupId);
  if (disks.length === 0) {
    const jobs = await ctx.db.select({ id: backupJobs.id }).from(backupJobs).where(eq(backupJobs.id, backupId));
    if (!jobs.some(({ id }) => id === backupId)) throw new PluckError("backup_not_found", `There is no backup ${JSON.stringify(backupId)}.`);
  }
  const disk = disks.find((candidate) => candidate.diskIndex === diskIndex);
  if (disk === undefined) {
    const indexes = disks.map((candidate) => candidate.diskIndex);
    const there = indexes.length === 0 ? "it has no disks yet" : indexes.length === 1 ? `its only disk is ${indexes[0]}` : `its disks are ${indexes.join(", ")}`;
    throw new PluckError("disk_not_found", `Backup ${backupId} has no disk ${diskIndex}; ${there}.`, { extra: { disk_indexes: indexes } });
  }
  if (disk.status !== "completed" || disk.qcow2Path === null || disk.qcow2Path === "") {
    throw new PluckError("backup_incomplete", `Disk ${diskIndex} of backup ${backupId} is ${disk.status === "completed" ? "without a file" : `"${disk.status ?? "unknown"}"`}, not "completed"; only a completed disk can be opened.`);
  }
  return { id: disk.id, backupId, diskIndex, qcow2Path: disk.qcow2Path, repositoryId: disk.repositoryId };
}
