import { and, count, eq } from "drizzle-orm";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { agents, restoreMounts } from "../../database/schema.ts";

/**
 * An agent of the repository that is online, the one with the most free slots.
 * @throws PluckError agent_offline
 */
export async function chooseAgent({ ctx, input: repositoryId }: Call<string>): Promise<{ id: string; publicUrl: string }> {
  const found = await ctx.db
    .select({ id: agents.id, publicUrl: agents.publicUrl, slotsTotal: agents.slotsTotal, lastSeenAt: agents.lastSeenAt, mounts: count(restoreMounts.id) })
    .from(agents)
    .leftJoin(restoreMounts, and(eq(restoreMounts.agentId, agents.id)))
    .where(eq(agents.repositoryId, repositoryId))
    .groupBy(agents.id, agents.publicUrl, agents.slotsTotal, agents.lastSeenAt);
  const online = found
    .filter((agent): agent is typeof agent & { publicUrl: string } => agent.publicUrl !== null && ctx.fleet.isOnline(agent.id))
    .toSorted((a, b) => b.slotsTotal - b.mounts - (a.slotsTotal - a.mounts) || (a.id < b.id ? -1 : 1));
  const [best] = online;
  if (best !== undefined) return { id: best.id, publicUrl: best.publicUrl };
  const names = found.map(({ id, lastSeenAt }) => `${id}, last seen ${lastSeenAt === null ? "never" : lastSeenAt.toISOString()}`).join("; ");
  throw new PluckError(
    "agent_offline",
    found.length === 0 ? `Repository ${repositoryId} has no agent.` : `No agent of repository ${repositoryId} is online (${names}).`,
    { retryAfterS: 10 },
  );
}
