import { and, asc, eq, gt, inArray, lt, ne, or } from "drizzle-orm";
import type { Call } from "../../context.ts";
import { agents, backupDisks, restoreMounts } from "../../database/schema.ts";
import { eachOf } from "../mounts/each-of.ts";
import { endMount } from "../mounts/end-mount.ts";
import { changeRow } from "../mounts/rows.ts";

/** In one run; the next one takes the rest. */
const maxPerRun = 500;
const sweepWidth = 8;
/** A row that waits for the end on an agent that is away goes after this; the agent ends the mount when it is back, as one that no row asks for. */
const abandonedAfterMs = 24 * 3600 * 1000;

/**
 * Ends the mounts whose lease ran out, and those whose disk is being written again. A lease counts only as far as it is known: while an agent is
 * online its mounts wait for a heartbeat later than the lease's end (after an outage of the
 * coordinators, say), which may have slid it.
 * @returns how many were taken up
 */
export async function sweepMounts({ ctx }: Call): Promise<number> {
  const now = ctx.clock.now();
  const idle = await ctx.db
    .select({ id: restoreMounts.id })
    .from(restoreMounts)
    .innerJoin(agents, eq(agents.id, restoreMounts.agentId))
    .where(
      and(
        lt(restoreMounts.expiresAt, now),
        or(
          eq(restoreMounts.status, "failed"),
          and(inArray(restoreMounts.status, ["mounting", "mounted"]), or(eq(agents.online, false), gt(agents.lastSeenAt, restoreMounts.expiresAt))),
        ),
      ),
    )
    .orderBy(asc(restoreMounts.expiresAt))
    .limit(maxPerRun);
  // A backup job wins over a lease.
  const overtaken = await ctx.db
    .select({ id: restoreMounts.id })
    .from(restoreMounts)
    .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
    .where(and(inArray(restoreMounts.status, ["mounting", "mounted"]), ne(backupDisks.status, "completed")))
    .limit(maxPerRun);
  const due = [...idle.map(({ id }) => ({ id, reason: "idle" as const })), ...overtaken.map(({ id }) => ({ id, reason: "backup_running" as const }))];
  await eachOf(due, sweepWidth, async ({ id, reason }) => {
    try {
      await endMount({ ctx, input: { mountId: id, reason } });
    } catch (error) {
      ctx.logger.warn({ err: error, mountId: id, reason }, "could not end a mount; the next run tries again");
    }
  });

  const abandoned = await ctx.db
    .select({ row: restoreMounts })
    .from(restoreMounts)
    .innerJoin(agents, eq(agents.id, restoreMounts.agentId))
    .where(and(eq(restoreMounts.status, "unmounting"), eq(agents.online, false), lt(restoreMounts.stateChangedAt, new Date(now.getTime() - abandonedAfterMs))))
    .limit(maxPerRun);
  for (const { row } of abandoned) await changeRow(ctx.db, row, "abandoned", now);
  return due.length;
}
