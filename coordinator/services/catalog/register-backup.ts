import { and, eq, inArray } from "drizzle-orm";
import type { z } from "zod";
import type { backupSchema, registerBackupSchema } from "../../../shared/api.ts";
import { isErrorCode, PluckError } from "../../../shared/errors.ts";
import { toPlainPath } from "../../../shared/repository-path.ts";
import type { CommandResult } from "../../../shared/messages.ts";
import type { Call } from "../../context.ts";
import { backupDisks, backupJobs, vmBackupContexts } from "../../database/schema.ts";
import { recordEvent } from "../events/record-event.ts";
import { chooseAgent } from "../mounts/choose-agent.ts";
import { requireRepository } from "../sites/repositories.ts";
import { getBackup } from "./get-backup.ts";
import { insertBackup, shortHash, slug } from "./insert-backup.ts";

export type Registration = z.infer<typeof registerBackupSchema>;
export type Backup = z.infer<typeof backupSchema>;

const checkTimeoutMs = 60_000;

/**
 * Registers a finished backup; the agent looks at each file first. The same registration again answers
 * with what is there (`created: false`).
 * @throws PluckError repository_not_found, agent_offline, backup_exists, or what is wrong with a file
 */
export async function registerBackup({ ctx, input: given }: Call<Registration>): Promise<{ backup: Backup; created: boolean }> {
  const input = withPlainPaths(given);
  assertSensible(input);
  await requireRepository({ ctx, input: input.repository_id });
  const backupId = input.backup_id ?? (await findByFiles({ ctx, input })) ?? defaultBackupId(input);
  // What is there already needs no agent.
  const known = await getBackup({ ctx, input: backupId }).catch(unlessMissing);
  if (known !== undefined) return { backup: assertSame(known, input), created: false };

  const agent = await chooseAgent({ ctx, input: input.repository_id });
  const { files } = await ctx.fleet.call(agent.id, "check", { qcow2_paths: input.disks.map((disk) => disk.qcow2_path) }, { timeoutMs: checkTimeoutMs });
  const facts = input.disks.map((disk) => ({ disk, file: assertReadable(disk.qcow2_path, files) }));
  const derivedType = facts.some(({ file }) => file.chain.length > 1) ? "incremental" : "full";
  const newestMs = Math.max(...facts.map(({ file }) => Date.parse(file.modified_at)));
  const created = await insertBackup(ctx, {
    backupId,
    vmName: input.vm_name,
    repositoryId: input.repository_id,
    backupType: input.backup_type ?? derivedType,
    completedAt: input.completed_at === undefined ? new Date(newestMs) : new Date(input.completed_at),
    disks: facts.map(({ disk, file }) => ({
      diskIndex: disk.disk_index,
      qcow2Path: disk.qcow2_path,
      vmwareDiskKey: disk.vmware_disk_key ?? null,
      sizeBytes: file.size_bytes,
      storedBytes: file.stored_bytes ?? null,
      error: null,
    })),
  });
  if (created) await recordEvent({ ctx, input: { type: "backup_registered", backupId, agentId: agent.id, outcome: "complete" } });
  const backup = await getBackup({ ctx, input: backupId });
  return { backup: created ? backup : assertSame(backup, input), created };
}

/** An id that the same files always get, so that registering twice without an id makes one backup. */
export function defaultBackupId(input: Pick<Registration, "vm_name" | "repository_id"> & { disks: readonly { qcow2_path: string }[] }): string {
  const paths = input.disks.map((disk) => disk.qcow2_path).sort();
  return `backup-${slug(input.vm_name, 40)}-${shortHash([input.repository_id, ...paths].join("\0"))}`;
}

/** One spelling a file, so that none is registered twice. */
function withPlainPaths(input: Registration): Registration {
  return { ...input, disks: input.disks.map((disk) => ({ ...disk, qcow2_path: toPlainPath(disk.qcow2_path) })) };
}

function assertSensible(input: Registration): void {
  if (!isPlainText(input.vm_name) || input.vm_name !== input.vm_name.trim()) {
    throw new PluckError("invalid_request", "vm_name: must be printable text without blanks around it.");
  }
  const indexes = new Set<number>();
  const paths = new Set<string>();
  for (const [position, { disk_index: index, qcow2_path: path }] of input.disks.entries()) {
    const field = `disks.${String(position)}`;
    if (indexes.has(index)) throw new PluckError("invalid_request", `${field}.disk_index: disk ${String(index)} is listed twice.`);
    if (paths.has(path)) throw new PluckError("invalid_request", `${field}.qcow2_path: ${JSON.stringify(path)} is listed twice.`);
    if (path === "" || path === "/") throw new PluckError("invalid_request", `${field}.qcow2_path: must name a file.`);
    if (!isPlainText(path)) throw new PluckError("invalid_request", `${field}.qcow2_path: must be text without control characters.`);
    indexes.add(index);
    paths.add(path);
  }
  if (input.completed_at !== undefined && !(Date.parse(input.completed_at) >= 0)) {
    throw new PluckError("invalid_request", "completed_at: must lie between 1970 and 9999.");
  }
}

function isPlainText(text: string): boolean {
  return text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text);
}

type CheckedFile = Extract<CommandResult<"check">["files"][number], { ok: true }>;

function assertReadable(path: string, files: CommandResult<"check">["files"]): CheckedFile {
  const file = files.find((candidate) => candidate.qcow2_path === path);
  if (file === undefined) throw new PluckError("internal", `The agent said nothing about ${path}.`);
  if (file.ok) return file;
  const { code, detail } = file.error;
  throw new PluckError(isErrorCode(code) ? code : "internal", detail.startsWith(path) ? detail : `${path}: ${detail}`, { extra: { qcow2_path: path } });
}

/** The backup that these very files are registered as, under whatever id. */
async function findByFiles({ ctx, input }: Call<Registration>): Promise<string | undefined> {
  const paths = input.disks.map((disk) => disk.qcow2_path);
  const rows = await ctx.db
    .select({ backupId: backupDisks.backupJobId, path: backupDisks.qcow2Path })
    .from(backupDisks)
    .innerJoin(backupJobs, eq(backupJobs.id, backupDisks.backupJobId))
    .innerJoin(vmBackupContexts, eq(vmBackupContexts.contextId, backupDisks.vmBackupContextId))
    .where(and(eq(vmBackupContexts.repositoryId, input.repository_id), inArray(backupDisks.qcow2Path, paths)));
  const ids = new Set(rows.filter(({ path }) => path !== null && paths.includes(path)).map(({ backupId }) => backupId));
  return ids.size === 1 ? [...ids][0] : undefined;
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof PluckError && error.code === "backup_not_found") return undefined;
  throw error;
}

/** @throws PluckError backup_exists, with what differs */
function assertSame(known: Backup, input: Registration): Backup {
  const differences: string[] = [];
  if (known.vm_name !== input.vm_name) differences.push(`its VM is ${JSON.stringify(known.vm_name)}`);
  if (known.repository_id !== input.repository_id) differences.push(`it is in repository ${known.repository_id}`);
  if (input.backup_type !== undefined && known.backup_type !== input.backup_type) differences.push(`its type is ${known.backup_type}`);
  if (input.completed_at !== undefined && known.completed_at !== null && Date.parse(known.completed_at) !== Date.parse(input.completed_at)) {
    // An adopted catalog keeps whole seconds.
    if (Math.abs(Date.parse(known.completed_at) - Date.parse(input.completed_at)) >= 1000) differences.push(`it was completed at ${known.completed_at}`);
  }
  for (const disk of input.disks) {
    const there = known.disks.find(({ disk_index: index }) => index === disk.disk_index);
    if (there === undefined) differences.push(`it has no disk ${String(disk.disk_index)}`);
    else if (there.qcow2_path !== disk.qcow2_path) differences.push(`its disk ${String(disk.disk_index)} is ${there.qcow2_path ?? "without a file"}`);
    else if (disk.vmware_disk_key !== undefined && there.vmware_disk_key !== disk.vmware_disk_key) differences.push(`its disk ${String(disk.disk_index)} has the key ${String(there.vmware_disk_key)}`);
  }
  if (known.disks.length > input.disks.length) differences.push(`it has ${String(known.disks.length)} disks`);
  if (differences.length > 0) throw new PluckError("backup_exists", `Backup ${known.backup_id} is registered already, and differs: ${differences.join("; ")}.`);
  return known;
}
