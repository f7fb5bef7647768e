import { asc, count, eq, inArray } from "drizzle-orm";
import type { z } from "zod";
import type { agentSchema, createAgentSchema, createdAgentSchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call, Context } from "../../context.ts";
import { isDuplicateKey, type Database } from "../../database/connect.ts";
import { agents, repositories, restoreMounts } from "../../database/schema.ts";
import { requireRole } from "../access/authenticate.ts";
import { hashSecret, newSecret, sameHash } from "../access/secret.ts";
import { recordEvent } from "../events/record-event.ts";
import { requireRepository } from "./repositories.ts";

type Agent = z.infer<typeof agentSchema>;
type AgentRow = typeof agents.$inferSelect;

export async function listAgents({ ctx }: Call): Promise<Agent[]> {
  const rows = await ctx.db.select().from(agents).orderBy(asc(agents.id));
  const held = await countHeldSlots(ctx);
  return rows.map((row) => toAgent(ctx, row, held.get(row.id) ?? 0));
}

/**
 * Registers an agent and gives its password for the embedded broker, this once.
 * @throws PluckError repository_not_found; invalid_request when the id is taken
 */
export async function createAgent({ ctx, input }: Call<z.infer<typeof createAgentSchema>>): Promise<z.infer<typeof createdAgentSchema>> {
  requireRole(ctx.actor, "admin");
  await requireRepository({ ctx, input: input.repository_id });
  const password = newSecret("");
  try {
    await ctx.db.insert(agents).values({
      id: input.id,
      name: input.name ?? input.id,
      repositoryId: input.repository_id,
      brokerPasswordSha256: hashSecret(password),
      createdAt: ctx.clock.now(),
    });
  } catch (error) {
    if (isDuplicateKey(error)) throw new PluckError("invalid_request", `id: there is an agent ${JSON.stringify(input.id)} already.`, { cause: error });
    throw error;
  }
  await recordEvent({ ctx, input: { type: "agent_created", agentId: input.id, outcome: input.repository_id } });
  const [row] = await ctx.db.select().from(agents).where(eq(agents.id, input.id)).limit(1);
  if (row === undefined) throw new PluckError("agent_not_found", `Agent ${input.id} was removed meanwhile.`);
  return { ...toAgent(ctx, row, 0), broker_password: password };
}

/**
 * For an installation that runs its own agent: registers repository and agent when they are missing,
 * and makes this the agent's password, whatever it was.
 */
export async function ensureAgent(db: Database, input: { id: string; repositoryId: string; repositoryName?: string; password: string; now: Date }): Promise<void> {
  const { id, repositoryId, password, now } = input;
  await db.insert(repositories).values({ id: repositoryId, name: input.repositoryName ?? repositoryId, createdAt: now }).onDuplicateKeyUpdate({ set: { id: repositoryId } });
  await db
    .insert(agents)
    .values({ id, name: id, repositoryId, brokerPasswordSha256: hashSecret(password), createdAt: now })
    .onDuplicateKeyUpdate({ set: { repositoryId, brokerPasswordSha256: hashSecret(password) } });
}

/** True when this is the agent's password for the broker. */
export async function verifyAgentPassword(db: Database, agentId: string, password: string): Promise<boolean> {
  const [row] = await db.select({ hash: agents.brokerPasswordSha256 }).from(agents).where(eq(agents.id, agentId)).limit(1);
  return sameHash(hashSecret(password), row?.hash ?? hashSecret(newSecret("")));
}

/** Slots by our rows: the agent's own count is as old as its last heartbeat. */
async function countHeldSlots(ctx: Context): Promise<Map<string, number>> {
  const rows = await ctx.db
    .select({ agentId: restoreMounts.agentId, held: count() })
    .from(restoreMounts)
    .where(inArray(restoreMounts.status, ["mounting", "mounted", "unmounting"]))
    .groupBy(restoreMounts.agentId);
  return new Map(rows.map(({ agentId, held }) => [agentId, held]));
}

function toAgent(ctx: Context, row: AgentRow, held: number): Agent {
  return {
    id: row.id,
    name: row.name,
    repository_id: row.repositoryId,
    public_url: row.publicUrl,
    version: row.version,
    online: ctx.fleet.isOnline(row.id),
    last_seen_at: row.lastSeenAt?.toISOString() ?? null,
    slots_total: row.slotsTotal,
    slots_used: held,
  };
}
