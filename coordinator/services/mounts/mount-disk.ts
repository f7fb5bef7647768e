import { setTimeout as sleep } from "node:timers/promises";
import type { Mount } from "../../../shared/api.ts";
import { fromErrorBody, PluckError } from "../../../shared/errors.ts";
import type { Call, Context } from "../../context.ts";
import { chooseAgent } from "./choose-agent.ts";
import { closeOnAgent } from "./end-mount.ts";
import { findDisk, type MountableDisk } from "./find-disk.ts";
import { leaseEnd, touchMount } from "./lease.ts";
import { newMountId, openOnAgent } from "./open-on-agent.ts";
import { poll } from "./poll.ts";
import { tryRecordEvent } from "./record-event.ts";
import { changeRow, findMountOfDisk, insertMounting, type MountRecord } from "./rows.ts";
import { toMount } from "./to-mount.ts";

/** `created`: opened for this request; `open`: it was open, or another request opened it; `pending`: not open within the wait. */
export interface MountOutcome {
  readonly mount: Mount;
  readonly outcome: "created" | "open" | "pending";
}

/**
 * Opens a disk of a backup, or finds it open: one mount per disk, however many ask at once.
 * @throws PluckError backup_not_found, disk_not_found, backup_incomplete, agent_offline, agent_timeout,
 * or what the agent says (qcow2_missing, nbd_devices_exhausted …)
 */
export async function mountDisk({ ctx, input }: Call<{ backupId: string; diskIndex: number }>): Promise<MountOutcome> {
  const disk = await findDisk({ ctx, input });
  const { outcome, first } = ctx.mounts.once(`disk:${disk.id}`, () => openDisk(ctx, disk));
  outcome.catch(() => undefined);
  const waited = new AbortController();
  const opened = await Promise.race([outcome, sleep(ctx.config.mountWaitS * 1000, undefined, { signal: waited.signal, ref: false })]).finally(() => waited.abort());
  if (opened !== undefined) return { mount: toMount(opened.record), outcome: first && opened.isNew ? "created" : "open" };

  // With a wait of zero the row may not even be there yet.
  const pending = await Promise.race([outcome.then(() => undefined), poll(() => findMountOfDisk(ctx.db, disk.id), firstRowTimeoutMs)]);
  if (pending !== undefined && pending.row.status !== "mounted") return { mount: toMount(pending), outcome: "pending" };
  const late = await outcome;
  return { mount: toMount(late.record), outcome: first && late.isNew ? "created" : "open" };
}

const firstRowTimeoutMs = 2000;

interface Opened {
  readonly record: MountRecord;
  readonly isNew: boolean;
}

/** Each round meets the row in another status; other coordinators may change it in between. */
const maxRounds = 50;

async function openDisk(ctx: Context, disk: MountableDisk): Promise<Opened> {
  /** The mount of another coordinator that we waited for: its failure is ours too. */
  let joinedId: string | undefined;
  for (let round = 0; round < maxRounds; round += 1) {
    const record = await findMountOfDisk(ctx.db, disk.id);
    if (record === undefined) {
      const opened = await openNew(ctx, disk);
      if (opened !== undefined) return opened;
      continue;
    }
    const { row } = record;
    if (row.status === "failed") {
      if (row.id === joinedId) throw fromErrorBody({ code: row.errorCode ?? "internal", detail: row.errorDetail ?? "" });
      await changeRow(ctx.db, row, "replaced", ctx.clock.now());
      continue;
    }
    if (!ctx.fleet.isOnline(row.agentId)) {
      if (!(await canMoveAway(ctx, record))) throw offline(record);
      await changeRow(ctx.db, row, "abandoned", ctx.clock.now());
      continue;
    }
    if (row.status === "mounted") {
      await touchMount({ ctx, input: row });
      return { record, isNew: false };
    }
    joinedId = row.id;
    await waitForChange(ctx, record);
  }
  throw new PluckError("agent_timeout", `Disk ${disk.diskIndex} of backup ${disk.backupId} is being opened and ended over and over; try again.`, { retryAfterS: 5 });
}

/** An agent away for less may be back soon, with the mount as it was. */
const awayForLongMs = 60_000;

/** True when the mount's agent is away for long and another agent of the repository could open the disk. */
async function canMoveAway(ctx: Context, { row, agent }: MountRecord): Promise<boolean> {
  const awayMs = ctx.clock.now().getTime() - (agent.lastSeenAt?.getTime() ?? 0);
  if (awayMs < awayForLongMs) return false;
  const other = await chooseAgent({ ctx, input: agent.repositoryId }).catch(() => undefined);
  return other !== undefined && other.id !== row.agentId;
}

function offline({ row }: MountRecord): PluckError {
  const after = row.status === "unmounting" ? "its end is finished" : "the disk is open again";
  return new PluckError("agent_offline", `Agent ${row.agentId} is offline; once it is back, ${after}.`, { retryAfterS: 10 });
}

/** @returns undefined when another request or coordinator was first */
async function openNew(ctx: Context, disk: MountableDisk): Promise<Opened | undefined> {
  const agent = await chooseAgent({ ctx, input: disk.repositoryId });
  const now = ctx.clock.now();
  const id = newMountId();
  const seen = await insertMounting(ctx.db, {
    id,
    backupDiskId: disk.id,
    agentId: agent.id,
    createdBy: ctx.actor.name,
    now,
    expiresAt: leaseEnd(now, ctx.config.idleTimeoutS),
    commandDeadline: new Date(now.getTime() + ctx.mounts.timings.claimMs),
  });
  if (seen === undefined) return undefined;
  const about = { type: "mount", backupId: disk.backupId, diskIndex: disk.diskIndex, mountId: id, agentId: agent.id } as const;
  try {
    await openOnAgent({ ctx, input: { seen, agentId: agent.id, publicUrl: agent.publicUrl, qcow2Path: disk.qcow2Path, isReopening: false, attempts: 1 } });
  } catch (error) {
    await tryRecordEvent({ ctx, input: { ...about, outcome: error instanceof PluckError ? error.code : "internal" } });
    throw error;
  }
  await tryRecordEvent({ ctx, input: { ...about, outcome: "complete" } });
  const record = await findMountOfDisk(ctx.db, disk.id);
  if (record === undefined || record.row.id !== id) throw new PluckError("mount_not_found", "The mount was ended just after it was opened.");
  return { record, isNew: true };
}

/** Until a row in `mounting` or `unmounting` is no longer what it was, or its claim has run out; then this one takes it over. */
async function waitForChange(ctx: Context, { row, disk, agent }: MountRecord): Promise<void> {
  const untilMs = (row.commandDeadline?.getTime() ?? 0) - ctx.clock.now().getTime();
  const changed = await poll(async () => {
    const current = await findMountOfDisk(ctx.db, row.backupDiskId);
    return current === undefined || current.row.id !== row.id || current.row.generation !== row.generation ? true : undefined;
  }, Math.max(0, untilMs));
  if (changed === true) return;
  const now = ctx.clock.now();
  const claim = { commandDeadline: new Date(now.getTime() + ctx.mounts.timings.claimMs), commandAttempts: row.commandAttempts + 1 };
  const current = await findMountOfDisk(ctx.db, row.backupDiskId);
  // Its sender is alive and has renewed the claim.
  if (current === undefined || (current.row.commandDeadline?.getTime() ?? 0) > now.getTime()) return;
  const seen = await changeRow(ctx.db, current.row, "claimed", now, claim);
  if (seen === undefined || seen === "gone") return;
  if (seen.status === "unmounting") {
    await closeOnAgent({ ctx, input: { seen, agentId: row.agentId } });
  } else if (agent.publicUrl !== null && disk.qcow2Path !== null) {
    await openOnAgent({
      ctx,
      input: { seen, agentId: row.agentId, publicUrl: agent.publicUrl, qcow2Path: disk.qcow2Path, isReopening: false, attempts: claim.commandAttempts },
    });
  }
}
