import { asc, eq } from "drizzle-orm";
import type { z } from "zod";
import type { createRepositorySchema, repositorySchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call, Context } from "../../context.ts";
import { isDuplicateKey } from "../../database/connect.ts";
import { agents, repositories } from "../../database/schema.ts";
import { requireRole } from "../access/authenticate.ts";
import { recordEvent } from "../events/record-event.ts";

export type Repository = z.infer<typeof repositorySchema>;

/** With the agent that serves it now: one that is online before one that is not. */
export async function listRepositories({ ctx }: Call): Promise<Repository[]> {
  const rows = await ctx.db
    .select({ id: repositories.id, name: repositories.name, agentId: agents.id })
    .from(repositories)
    .leftJoin(agents, eq(agents.repositoryId, repositories.id))
    .orderBy(asc(repositories.id), asc(agents.id));
  const found = new Map<string, Repository>();
  for (const { id, name, agentId } of rows) {
    const online = agentId !== null && ctx.fleet.isOnline(agentId);
    const known = found.get(id);
    if (known === undefined || (online && !known.online)) found.set(id, { id, name, agent_id: agentId, online });
  }
  return [...found.values()];
}

/** `created` is false when it is there already under the same name. */
export async function createRepository({ ctx, input }: Call<z.infer<typeof createRepositorySchema>>): Promise<{ repository: Repository; created: boolean }> {
  requireRole(ctx.actor, "admin");
  const name = input.name ?? input.id;
  let created = true;
  try {
    await ctx.db.insert(repositories).values({ id: input.id, name, createdAt: ctx.clock.now() });
    await recordEvent({ ctx, input: { type: "repository_created", outcome: input.id } });
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    created = false;
  }
  const repository = (await listRepositories({ ctx, input: undefined })).find(({ id }) => id === input.id);
  if (repository === undefined) throw new PluckError("repository_not_found", `Repository ${input.id} was removed meanwhile.`);
  if (!created && input.name !== undefined && repository.name !== name) {
    throw new PluckError("invalid_request", `Repository ${input.id} exists already, with the name ${JSON.stringify(repository.name)}.`);
  }
  return { repository, created };
}

/** @throws PluckError repository_not_found */
export async function requireRepository({ ctx, input: id }: { ctx: Pick<Context, "db">; input: string }): Promise<void> {
  const [row] = await ctx.db.select({ id: repositories.id }).from(repositories).where(eq(repositories.id, id)).limit(1);
  if (row === undefined) throw new PluckError("repository_not_found", `There is no repository ${JSON.stringify(id)}; GET /api/v1/repositories lists those there are.`);
}
