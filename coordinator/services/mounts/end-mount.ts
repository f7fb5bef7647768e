import type { Call, Context } from "../../context.ts";
import { tryRecordEvent } from "./record-event.ts";
import { changeRow, findMount, type RowVersion } from "./rows.ts";

/** Rounds in which another coordinator may change the row under our hands. */
const maxRounds = 10;

/** `backup_running`: its disk is being written again. */
export type EndReason = "requested" | "idle" | "backup_running";

/**
 * Ends a mount: idempotent, and no error when there is none. With the agent away the row stays in
 * `unmounting` and goes when the agent is back.
 */
export async function endMount({ ctx, input }: Call<{ mountId: string; reason: EndReason }>): Promise<void> {
  const { mountId, reason } = input;
  for (let round = 0; round < maxRounds; round += 1) {
    const record = await findMount(ctx.db, mountId);
    if (record === undefined) return;
    const { row, disk } = record;
    const now = ctx.clock.now();
    // Used again since it was found idle.
    if (reason === "idle" && row.expiresAt > now) return;
    if (row.status === "unmounting") {
      // Under way; one whose sender died is sent again by the next heartbeat.
      if ((row.commandDeadline?.getTime() ?? 0) > now.getTime() || !ctx.fleet.isOnline(row.agentId)) return;
      const again = await changeRow(ctx.db, row, "claimed", now, claim(ctx, now, row.commandAttempts + 1));
      if (again !== undefined && again !== "gone") return await closeOnAgent({ ctx, input: { seen: again, agentId: row.agentId } });
      continue;
    }
    const seen = await changeRow(ctx.db, row, "end", now, claim(ctx, now, 1));
    if (seen === undefined) continue;
    const about = { type: "unmount", backupId: disk.backupId, diskIndex: disk.diskIndex, mountId, agentId: row.agentId } as const;
    await tryRecordEvent({ ctx, input: { ...about, outcome: reason } });
    if (seen !== "gone") await closeOnAgent({ ctx, input: { seen, agentId: row.agentId } });
    return;
  }
}

function claim(ctx: Context, now: Date, commandAttempts: number) {
  return { commandDeadline: new Date(now.getTime() + ctx.mounts.timings.claimMs), commandAttempts };
}

/** Sends the unmount command for a row in `unmounting` that the caller has claimed; the row goes when the agent confirms. */
export async function closeOnAgent({ ctx, input }: { ctx: Context; input: { readonly seen: RowVersion; readonly agentId: string } }): Promise<void> {
  const { seen, agentId } = input;
  try {
    await ctx.fleet.call(agentId, "unmount", { mount_id: seen.id }, { timeoutMs: ctx.mounts.timings.unmountTimeoutMs });
  } catch (error) {
    ctx.logger.warn({ err: error, mountId: seen.id, agentId }, "could not end the mount yet; it is tried again when the agent is heard");
    const now = ctx.clock.now();
    await changeRow(ctx.db, seen, "released", now, { commandDeadline: now });
    return;
  }
  await changeRow(ctx.db, seen, "ended", ctx.clock.now());
}
