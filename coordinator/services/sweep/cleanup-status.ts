import { and, asc, count, eq, ne } from "drizzle-orm";
import type { z } from "zod";
import type { cleanupStatusSchema } from "../../../shared/api.ts";
import type { Call } from "../../context.ts";
import { restoreEvents, restoreMounts } from "../../database/schema.ts";

const maxExpiring = 100;

/** What the sweep did (all coordinators together) and will do (the mounts that expire next). */
export async function cleanupStatus({ ctx }: Call): Promise<z.infer<typeof cleanupStatusSchema>> {
  const [ended] = await ctx.db
    .select({ total: count() })
    .from(restoreEvents)
    .where(and(eq(restoreEvents.type, "unmount"), eq(restoreEvents.outcome, "idle")));
  const expiring = await ctx.db
    .select({ mountId: restoreMounts.id, expiresAt: restoreMounts.expiresAt })
    .from(restoreMounts)
    .where(ne(restoreMounts.status, "unmounting"))
    .orderBy(asc(restoreMounts.expiresAt))
    .limit(maxExpiring);
  const { lastRunAt, nextRunAt } = ctx.mounts.sweep;
  return {
    idle_timeout_s: ctx.config.idleTimeoutS,
    last_run_at: lastRunAt?.toISOString() ?? null,
    next_run_at: nextRunAt?.toISOString() ?? null,
    ended_total: ended?.total ?? 0,
    expiring: expiring.map(({ mountId, expiresAt }) => ({ mount_id: mountId, expires_at: expiresAt.toISOString() })),
  };
}
