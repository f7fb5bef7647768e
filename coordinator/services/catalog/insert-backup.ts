import { createHash } from "node:crypto";
import { and, desc, eq, sql } from "drizzle-orm";
import { setTimeout as sleep } from "node:timers/promises";
import { PluckError } from "../../../shared/errors.ts";
import type { Context } from "../../context.ts";
import { databaseErrorCode, isDuplicateKey, type Database, type Queries } from "../../database/connect.ts";
import { backupDisks, backupJobs, vmBackupContexts } from "../../database/schema.ts";
import { refreshChain } from "./chains.ts";
import { insertRow } from "./insert-row.ts";

export interface NewDisk {
  readonly diskIndex: number;
  readonly qcow2Path: string;
  readonly vmwareDiskKey: number | null;
  /** Null when its file can't be read now: the disk is on record as failed, with why. */
  readonly sizeBytes: number | null;
  /** What the file itself takes up; null when unknown. */
  readonly storedBytes: number | null;
  readonly error: string | null;
}

export interface NewBackup {
  readonly backupId: string;
  readonly vmName: string;
  readonly repositoryId: string;
  readonly backupType: "full" | "incremental";
  readonly completedAt: Date;
  readonly disks: readonly NewDisk[];
}

const bytesPerGib = 2 ** 30;
const maxTries = 5;

/**
 * Puts a restore point into the catalog, whole or not at all.
 * @returns false when there is a backup of this id already (nothing is changed then)
 */
export async function insertBackup(ctx: Pick<Context, "db" | "clock">, backup: NewBackup): Promise<boolean> {
  return await withRetry(async () => {
    try {
      const contextId = await findOrMakeContext(ctx.db, backup, ctx.clock.now());
      await inContext(ctx.db, contextId, async (tx) => {
        await insertJob(tx, contextId, backup);
        for (const disk of backup.disks) await insertDisk(tx, contextId, backup.backupId, disk, backup.completedAt);
        await countBackup(tx, contextId);
        await refreshLatest(tx, contextId, ctx.clock.now());
        for (const { diskIndex } of backup.disks) await refreshChain(tx, contextId, diskIndex);
      });
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw explain(error);
    }
  });
}

/** Adds a disk to a restore point that is there, or brings a failed one up to date. */
export async function putDisk(ctx: Pick<Context, "db">, backupId: string, disk: NewDisk, completedAt: Date): Promise<void> {
  await withRetry(async () => {
    const [job] = await ctx.db.select({ contextId: backupJobs.vmBackupContextId }).from(backupJobs).where(eq(backupJobs.id, backupId)).limit(1);
    const contextId = job?.contextId;
    if (contextId === undefined || contextId === null) return;
    await inContext(ctx.db, contextId, async (tx) => {
      const here = and(eq(backupDisks.backupJobId, backupId), eq(backupDisks.diskIndex, disk.diskIndex));
      const [known] = await tx.select({ id: backupDisks.id }).from(backupDisks).where(here).limit(1);
      if (known === undefined) await insertDisk(tx, contextId, backupId, disk, completedAt);
      else await tx.update(backupDisks).set({ ...stateOf(disk, completedAt), qcow2Path: disk.qcow2Path }).where(eq(backupDisks.id, known.id));
      await refreshChain(tx, contextId, disk.diskIndex);
    });
  });
}

/** Changes a VM's restore points one at a time: chains and statistics are derived from all of them. */
export async function inContext<T>(db: Database, contextId: string, work: (tx: Queries) => Promise<T>): Promise<T> {
  return await db.transaction(
    async (tx) => {
      await tx.select({ id: vmBackupContexts.contextId }).from(vmBackupContexts).where(eq(vmBackupContexts.contextId, contextId)).for("update");
      return await work(tx);
    },
    { isolationLevel: "read committed" },
  );
}

/** The newest restore point of a VM, as its context tells it. */
export async function refreshLatest(db: Queries, contextId: string, now: Date): Promise<void> {
  const [latest] = await db
    .select({ id: backupJobs.id, type: backupJobs.backupType, at: backupJobs.completedAt })
    .from(backupJobs)
    .where(and(eq(backupJobs.vmBackupContextId, contextId), eq(backupJobs.status, "completed")))
    .orderBy(desc(backupJobs.completedAt), desc(backupJobs.id))
    .limit(1);
  await db
    .update(vmBackupContexts)
    .set({ lastBackupId: latest?.id ?? null, lastBackupType: latest?.type ?? null, lastBackupAt: latest?.at ?? null, updatedAt: now })
    .where(eq(vmBackupContexts.contextId, contextId));
}

/** One context a VM and repository, used by all its restore points. */
async function findOrMakeContext(db: Queries, { vmName, repositoryId }: NewBackup, now: Date): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    const rows = await db
      .select({ id: vmBackupContexts.contextId, vmName: vmBackupContexts.vmName, repositoryId: vmBackupContexts.repositoryId })
      .from(vmBackupContexts)
      .where(and(eq(vmBackupContexts.vmName, vmName), eq(vmBackupContexts.repositoryId, repositoryId)));
    // An adopted catalog may compare without regard to case.
    return (rows.find((row) => row.vmName === vmName && row.repositoryId === repositoryId) ?? rows[0])?.id;
  };
  const found = await find();
  if (found !== undefined) return found;
  const contextId = `ctx-${slug(vmName, 32)}-${shortHash(`${repositoryId}\0${vmName}`)}`;
  try {
    await insertRow(db, "vm_backup_contexts", {
      context_id: contextId, vm_name: vmName, repository_id: repositoryId, total_backups_run: 0, successful_backups: 0, failed_backups: 0, created_at: now, updated_at: now,
    });
    return contextId;
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    // Made by another request meanwhile.
    return (await find()) ?? contextId;
  }
}

async function insertJob(db: Queries, contextId: string, backup: NewBackup): Promise<void> {
  await insertRow(db, "backup_jobs", {
    id: backup.backupId,
    vm_backup_context_id: contextId,
    vm_name: backup.vmName,
    backup_type: backup.backupType,
    status: "completed",
    created_at: backup.completedAt,
    completed_at: backup.completedAt,
    // Columns of an adopted catalog.
    repository_id: backup.repositoryId,
    repository_path: backup.disks[0]?.qcow2Path ?? "",
  });
}

async function insertDisk(db: Queries, contextId: string, backupId: string, disk: NewDisk, completedAt: Date): Promise<void> {
  const state = stateOf(disk, completedAt);
  await insertRow(db, "backup_disks", {
    vm_backup_context_id: contextId,
    backup_job_id: backupId,
    disk_index: disk.diskIndex,
    ...(disk.vmwareDiskKey === null ? {} : { vmware_disk_key: disk.vmwareDiskKey }),
    size_gb: state.sizeGb,
    size_bytes: state.sizeBytes,
    stored_bytes: state.storedBytes,
    qcow2_path: disk.qcow2Path,
    status: state.status,
    error_message: state.errorMessage,
    created_at: completedAt,
    completed_at: state.completedAt,
  });
}

function stateOf(disk: NewDisk, completedAt: Date) {
  return {
    sizeBytes: disk.sizeBytes,
    storedBytes: disk.storedBytes,
    sizeGb: Math.ceil((disk.sizeBytes ?? 0) / bytesPerGib),
    status: disk.error === null ? "completed" : "failed",
    errorMessage: disk.error?.slice(0, 4000) ?? null,
    completedAt: disk.error === null ? completedAt : null,
  };
}

async function countBackup(db: Queries, contextId: string): Promise<void> {
  await db
    .update(vmBackupContexts)
    .set({ totalBackupsRun: sql`COALESCE(${vmBackupContexts.totalBackupsRun}, 0) + 1`, successfulBackups: sql`COALESCE(${vmBackupContexts.successfulBackups}, 0) + 1` })
    .where(eq(vmBackupContexts.contextId, contextId));
}

/** Where two changes wait for each other, the server ends one of them, which tries again. */
export async function withRetry<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      const code = databaseErrorCode(error);
      const passing = code === "ER_LOCK_DEADLOCK" || code === "ER_LOCK_WAIT_TIMEOUT" || code === "ER_CHECKREAD";
      if (!passing || tries >= maxTries) throw error;
      await sleep(10 * tries + Math.random() * 20);
    }
  }
}

/** What an adopted catalog may object to, in words. */
function explain(error: unknown): unknown {
  const code = databaseErrorCode(error);
  if (code === "ER_NO_REFERENCED_ROW_2") {
    return new PluckError("invalid_request", "The catalog belongs to a backup system that ties each backup to records of its own (such as its own list of repositories); it alone can add one here.", { cause: error });
  }
  if (code === "ER_DATA_TOO_LONG") return new PluckError("invalid_request", "A name or path is longer than the catalog's columns allow.", { cause: error });
  return error;
}

/** For ids: what an id may hold of a name. */
export function slug(name: string, maxLength: number): string {
  const cleaned = name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "").slice(0, maxLength);
  return cleaned === "" ? "vm" : cleaned;
}

export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
