import { and, asc, count, eq, ne } from "drizzle-orm";
import type { z } from "zod";
import type { resourcesSchema } from "../../../shared/api.ts";
import type { Call } from "../../context.ts";
import { agents, restoreMounts } from "../../database/schema.ts";

/** The agents' slots; those in use are counted by rows, which is ahead of any heartbeat. */
export async function listResources({ ctx }: Call): Promise<z.infer<typeof resourcesSchema>> {
  const found = await ctx.db
    .select({ id: agents.id, slotsTotal: agents.slotsTotal, used: count(restoreMounts.id) })
    .from(agents)
    .leftJoin(restoreMounts, and(eq(restoreMounts.agentId, agents.id), ne(restoreMounts.status, "failed")))
    .groupBy(agents.id, agents.slotsTotal)
    .orderBy(asc(agents.id));
  return {
    agents: found.map(({ id, slotsTotal, used }) => ({
      agent_id: id,
      online: ctx.fleet.isOnline(id),
      slots_total: slotsTotal,
      slots_used: used,
      slots_free: Math.max(0, slotsTotal - used),
    })),
  };
}
