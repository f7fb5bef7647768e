import { setTimeout as sleep } from "node:timers/promises";
import { eq, inArray } from "drizzle-orm";
import { PluckError } from "../../shared/errors.ts";
import type { Heartbeat } from "../../shared/messages.ts";
import type { Context } from "../context.ts";
import { backupDisks, agents, restoreMounts, type RestoreMountRow } from "../database/schema.ts";
import { eachOf } from "../services/mounts/each-of.ts";
import { closeOnAgent } from "../services/mounts/end-mount.ts";
import { leaseEnd, leaseStepMs } from "../services/mounts/lease.ts";
import { openOnAgent } from "../services/mounts/open-on-agent.ts";
import { tryRecordEvent } from "../services/mounts/record-event.ts";
import { adoptSlot, changeRow, extendLeases } from "../services/mounts/rows.ts";
import type { OpenFleet } from "./fleet.ts";
import { type AgentView, decideRepair, type Repair } from "../services/mounts/state.ts";

/**
 * Holds each heartbeat against the table: a mount that no row asks for is ended, a row whose mount is
 * gone is opened again under the same id, a row stuck in `mounting` or `unmounting` is finished. Every
 * coordinator does it; compare-and-set lets one of them act, and the commands are idempotent.
 */

/** Repairs of one agent that run at once: opening costs it a process each. */
const repairWidth = 4;
/** Repairs of one agent that are started or wait; what it makes up beyond that waits for a later heartbeat. */
const maxUnderWay = 256;

/** A mount that is lost sooner than this after it was opened, time and again, is not opened any more. */
const quickLossMs = 60_000;
const maxQuickLosses = 10;

/**
 * Writes the leases of a heartbeat and starts the repairs; these run on after it returns.
 * @param underWay ids of this agent's repairs that run
 * @returns when the leases are written; `repairs` settles when the repairs have ended, and never throws
 */
export async function reconcileAgent(ctx: Context, heartbeat: Heartbeat, heardAt: Date, underWay: Set<string> = new Set()): Promise<{ readonly repairs: Promise<void> }> {
  const { agent_id: agentId } = heartbeat;
  const views = viewsOf(heartbeat);
  const rows = await readRows(ctx, agentId, [...views.keys()]);
  await slideLeases(ctx, heartbeat, heardAt, rows);

  const now = ctx.clock.now();
  const found: Found[] = [];
  for (const id of new Set([...rows.keys(), ...views.keys()])) {
    const row = rows.get(id);
    // A row of another agent's mount: here it is a stray.
    const own = row?.agentId === agentId ? row : undefined;
    const repair = decideRepair(own, views.get(id) ?? absent, heardAt, now);
    // One that is still under way when the next heartbeat finds the same is not started twice.
    if (repair === "none" || underWay.has(id)) continue;
    if (underWay.size >= maxUnderWay) break;
    underWay.add(id);
    found.push({ id, row: own, repair, view: views.get(id) ?? absent });
  }
  const repairs = eachOf(found, repairWidth, async (each) => {
    await tryRepair(ctx, agentId, each);
    underWay.delete(each.id);
  });
  return { repairs };
}

/** Reconciles at every heartbeat from now on. */
export function startReconcile(ctx: Context, fleet: Pick<OpenFleet, "onHeartbeat">): void {
  const underWay = new Map<string, Set<string>>();
  fleet.onHeartbeat(async (heartbeat, heardAt) => {
    const { agent_id: agentId } = heartbeat;
    const own = underWay.get(agentId) ?? new Set();
    underWay.set(agentId, own);
    await reconcileAgent(ctx, heartbeat, heardAt, own);
  });
}

interface Found {
  readonly id: string;
  readonly row: RestoreMountRow | undefined;
  readonly repair: Repair;
  readonly view: AgentView;
}

const absent: AgentView = { is: "absent" };

function viewsOf(heartbeat: Heartbeat): Map<string, AgentView> {
  const views = new Map<string, AgentView>(heartbeat.opening.map((id) => [id, { is: "opening" }]));
  for (const { mount_id, nbd_device } of heartbeat.mounts) views.set(mount_id, { is: "open", nbdDevice: nbd_device.slice(0, 32) });
  return views;
}

/** The agent's rows, and those of other agents under ids that this one names. */
async function readRows(ctx: Context, agentId: string, ids: string[]): Promise<Map<string, RestoreMountRow>> {
  const own = await ctx.db.select().from(restoreMounts).where(eq(restoreMounts.agentId, agentId));
  const rows = new Map(own.map((row) => [row.id, row]));
  const unknown = ids.filter((id) => !rows.has(id));
  if (unknown.length > 0) for (const row of await ctx.db.select().from(restoreMounts).where(inArray(restoreMounts.id, unknown))) rows.set(row.id, row);
  return rows;
}

/** An access is dated by its distance from the heartbeat: the agent's clock need not agree with ours. */
async function slideLeases(ctx: Context, heartbeat: Heartbeat, heardAt: Date, rows: ReadonlyMap<string, RestoreMountRow>): Promise<void> {
  const { idleTimeoutS } = ctx.config;
  const leases = heartbeat.mounts.flatMap((mount) => {
    const row = rows.get(mount.mount_id);
    if (row === undefined || row.agentId !== heartbeat.agent_id || row.status !== "mounted") return [];
    const idleMs = mount.transfers > 0 ? 0 : Math.max(0, Date.parse(heartbeat.sent_at) - Date.parse(mount.last_accessed_at));
    const accessedAt = new Date(heardAt.getTime() - idleMs);
    if (accessedAt.getTime() - row.lastAccessedAt.getTime() < leaseStepMs(idleTimeoutS)) return [];
    return [{ id: row.id, accessedAt, expiresAt: leaseEnd(accessedAt, idleTimeoutS) }];
  });
  await extendLeases(ctx.db, leases);
}

async function tryRepair(ctx: Context, agentId: string, found: Found): Promise<void> {
  try {
    await repair(ctx, agentId, found);
  } catch (error) {
    ctx.logger.warn({ err: error, agentId, mountId: found.id, repair: found.repair }, "could not repair a mount yet");
  }
}

async function repair(ctx: Context, agentId: string, { id, row, repair, view }: Found): Promise<void> {
  ctx.logger.info({ agentId, mountId: id, repair, status: row?.status }, "repairing a mount");
  const now = ctx.clock.now();
  if (row === undefined || repair === "end_on_agent") return await endStray(ctx, agentId, id);
  const claim = { commandDeadline: new Date(now.getTime() + ctx.mounts.timings.claimMs), commandAttempts: row.commandAttempts + 1 };
  switch (repair) {
    case "adopt_slot":
      if (view.is === "open") await adoptSlot(ctx.db, row, agentId, view.nbdDevice, now);
      return;
    case "finish":
      await changeRow(ctx.db, row, "ended", now);
      return;
    case "resend_unmount": {
      const seen = await changeRow(ctx.db, row, "claimed", now, claim);
      if (seen !== undefined && seen !== "gone") await closeOnAgent({ ctx, input: { seen, agentId } });
      return;
    }
    case "reopen": {
      const isAgain = now.getTime() - row.stateChangedAt.getTime() < quickLossMs;
      return await openAgain(ctx, row, "lost", { ...claim, commandAttempts: isAgain ? row.commandAttempts + 1 : 1, nbdDevice: null });
    }
    case "resend_mount":
      return await openAgain(ctx, row, "claimed", claim);
    case "none":
      return;
  }
}

async function openAgain(ctx: Context, row: RestoreMountRow, event: "lost" | "claimed", claim: { commandDeadline: Date; commandAttempts: number; nbdDevice?: null }): Promise<void> {
  const seen = await changeRow(ctx.db, row, event, ctx.clock.now(), claim);
  if (seen === undefined || seen === "gone") return;
  if (event === "lost" && claim.commandAttempts > maxQuickLosses) {
    const errorDetail = `Its agent lost the mount ${maxQuickLosses} times, each soon after it was opened.`;
    await changeRow(ctx.db, seen, "refused", ctx.clock.now(), { errorCode: "io_error", errorDetail, commandDeadline: null });
    return;
  }
  const [disk] = await ctx.db
    .select({ qcow2Path: backupDisks.qcow2Path, backupId: backupDisks.backupJobId, diskIndex: backupDisks.diskIndex, publicUrl: agents.publicUrl })
    .from(restoreMounts)
    .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
    .innerJoin(agents, eq(agents.id, restoreMounts.agentId))
    .where(eq(restoreMounts.id, row.id));
  if (disk?.qcow2Path == null || disk.publicUrl === null) return;
  const { qcow2Path, publicUrl } = disk;
  const about = { type: "remount", backupId: disk.backupId, diskIndex: disk.diskIndex, mountId: row.id, agentId: row.agentId } as const;
  try {
    await openOnAgent({ ctx, input: { seen, agentId: row.agentId, publicUrl, qcow2Path, isReopening: true, attempts: claim.commandAttempts } });
  } catch (error) {
    await tryRecordEvent({ ctx, input: { ...about, outcome: error instanceof PluckError ? error.code : "internal" } });
    throw error;
  }
  await tryRecordEvent({ ctx, input: { ...about, outcome: "complete" } });
}

/**
 * Ends on the agent what no row wants, after a second look: on a database cluster the row of a mount
 * that another coordinator just made may not be here yet.
 */
async function endStray(ctx: Context, agentId: string, mountId: string): Promise<void> {
  await sleep(ctx.mounts.timings.strayConfirmMs, undefined, { ref: false });
  const [row] = await ctx.db.select({ agentId: restoreMounts.agentId, status: restoreMounts.status }).from(restoreMounts).where(eq(restoreMounts.id, mountId)).limit(1);
  if (row !== undefined && row.agentId === agentId && row.status !== "failed") return;
  await ctx.fleet.call(agentId, "unmount", { mount_id: mountId }, { timeoutMs: ctx.mounts.timings.unmountTimeoutMs });
}
