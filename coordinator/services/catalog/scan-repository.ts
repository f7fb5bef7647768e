import { eq } from "drizzle-orm";
import type { z } from "zod";
import { maxDiskIndex, type scanResultSchema } from "../../../shared/api.ts";
import { toPlainPath } from "../../../shared/repository-path.ts";
import type { Call, Context } from "../../context.ts";
import { backupDisks, vmBackupContexts } from "../../database/schema.ts";
import { recordEvent } from "../events/record-event.ts";
import { chooseAgent } from "../mounts/choose-agent.ts";
import { requireRepository } from "../sites/repositories.ts";
import { groupRestorePoints, type FoundRestorePoint, type ScannedFile } from "./group-restore-points.ts";
import { insertBackup, putDisk, type NewDisk } from "./insert-backup.ts";
import { defaultBackupId } from "./register-backup.ts";

export type ScanResult = z.infer<typeof scanResultSchema>;

/** Reading the headers of ten thousand files on a slow share takes its time. */
const scanTimeoutMs = 10 * 60_000;

/**
 * Finds the qcow2 files of a repository and registers restore points that are new. A file that can't be
 * read is reported; its restore point is registered all the same when another disk can be read, with
 * that disk on record as failed, and mended by a later scan. What a backup is still writing is left alone.
 * @throws PluckError repository_not_found, agent_offline, agent_timeout
 */
export async function scanRepository({ ctx, input: repositoryId }: Call<string>): Promise<ScanResult> {
  await requireRepository({ ctx, input: repositoryId });
  const agent = await chooseAgent({ ctx, input: repositoryId });
  const { files, truncated } = await ctx.fleet.call(agent.id, "scan", {}, { timeoutMs: scanTimeoutMs });
  const problems: ScanResult["problems"] = files.flatMap((file) => (file.error === null ? [] : [{ qcow2_path: file.qcow2_path, ...file.error }]));
  const usable = files.filter((file) => {
    const reason = unusable(file);
    if (reason !== undefined) problems.push({ qcow2_path: file.qcow2_path, code: "invalid_request", detail: reason });
    return reason === undefined;
  });

  const known = await readKnownFiles(ctx, repositoryId);
  const registered: string[] = [];
  let alreadyKnown = 0;
  for (const point of groupRestorePoints(usable)) {
    const outcome = await settle(ctx, repositoryId, point, known);
    if (outcome === "known") alreadyKnown += 1;
    else if (outcome !== undefined) registered.push(outcome);
  }
  for (const backupId of registered) await recordEvent({ ctx, input: { type: "backup_registered", backupId, agentId: agent.id, outcome: "complete" } });
  return { repository_id: repositoryId, registered, already_known: alreadyKnown, problems, truncated };
}

/** @returns the new backup's id, "known", or undefined when it must wait */
async function settle(ctx: Context, repositoryId: string, point: FoundRestorePoint, known: KnownFiles): Promise<string | undefined> {
  if (point.files.some((file) => file.error?.code === "backup_in_use")) return undefined;
  const found = point.files.map((file) => ({ file, known: known.find(file.qcow2_path) }));
  const ids = new Set(found.flatMap((entry) => (entry.known === undefined ? [] : [entry.known.backupId])));
  const [backupId] = ids;
  if (backupId !== undefined) {
    // A disk that came later joins its backup; one that has become readable is mended.
    for (const entry of found) {
      await noteStoredBytes(ctx, entry.known, entry.file);
      const isMended = entry.known?.status === "failed" && entry.file.error === null;
      if ((entry.known === undefined && ids.size === 1) || isMended) await putDisk(ctx, entry.known?.backupId ?? backupId, toNewDisk(entry.file), point.completedAt);
    }
    return "known";
  }
  if (point.files.every((file) => file.error !== null)) return undefined;
  const id = defaultBackupId({ vm_name: point.vmName, repository_id: repositoryId, disks: point.files });
  const created = await insertBackup(ctx, {
    backupId: id,
    vmName: point.vmName,
    repositoryId,
    backupType: point.backupType,
    completedAt: point.completedAt,
    disks: point.files.map(toNewDisk),
  });
  return created ? id : "known";
}

/** What a file takes up is not on record for what an adopted catalog or an earlier version registered. */
async function noteStoredBytes(ctx: Pick<Context, "db">, known: KnownFile | undefined, { error, stored_bytes: storedBytes }: ScannedFile): Promise<void> {
  if (known === undefined || known.status !== "completed" || error !== null || storedBytes === undefined || known.storedBytes === storedBytes) return;
  await ctx.db.update(backupDisks).set({ storedBytes }).where(eq(backupDisks.id, known.diskId));
}

function toNewDisk(file: ScannedFile): NewDisk {
  return {
    diskIndex: file.disk_index,
    qcow2Path: file.qcow2_path,
    vmwareDiskKey: null,
    sizeBytes: file.error === null ? file.size_bytes : null,
    storedBytes: file.error === null ? (file.stored_bytes ?? null) : null,
    error: file.error === null ? null : `${file.error.code}: ${file.error.detail}`,
  };
}

/** What the catalog can't hold. */
function unusable(file: ScannedFile): string | undefined {
  if (file.disk_index > maxDiskIndex) return `Disk numbers go up to ${String(maxDiskIndex)}.`;
  if (file.vm_name === "" || file.vm_name.length > 255 || !file.vm_name.isWellFormed() || file.vm_name !== file.vm_name.trim()) return "The VM's folder has a name that can't be registered: at most 255 characters of text, without blanks around it.";
  if (!file.qcow2_path.isWellFormed() || file.qcow2_path.includes("\uFFFD")) return "The file's name is not UTF-8.";
  return undefined;
}

interface KnownFile {
  readonly diskId: number;
  readonly backupId: string;
  readonly storedBytes: number | null;
  readonly status: string | null;
}

interface KnownFiles {
  find(path: string): KnownFile | undefined;
}

/** By path relative to the root; an adopted catalog has absolute paths, which end in the relative one. */
async function readKnownFiles(ctx: Pick<Context, "db">, repositoryId: string): Promise<KnownFiles> {
  const rows = await ctx.db
    .select({ diskId: backupDisks.id, backupId: backupDisks.backupJobId, path: backupDisks.qcow2Path, status: backupDisks.status, storedBytes: backupDisks.storedBytes })
    .from(backupDisks)
    .innerJoin(vmBackupContexts, eq(vmBackupContexts.contextId, backupDisks.vmBackupContextId))
    .where(eq(vmBackupContexts.repositoryId, repositoryId));
  const byPath = new Map<string, KnownFile>();
  const byTail = new Map<string, KnownFile>();
  for (const { path: given, ...file } of rows) {
    if (given === null) continue;
    const path = toPlainPath(given);
    byPath.set(path, file);
    // `<vm>/disk-<n>/<file>.qcow2` is what a scan finds.
    if (path.startsWith("/")) byTail.set(path.split("/").slice(-3).join("/"), file);
  }
  return { find: (path) => byPath.get(path) ?? byTail.get(path) };
}
