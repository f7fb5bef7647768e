import { nanoid } from "nanoid";
import type { Context } from "../../context.ts";
import { restoreEvents } from "../../database/schema.ts";

/** What happens to the catalog, the sites and the tokens; the mounts' services record theirs. */
export interface AdministrativeEvent {
  readonly type: "backup_registered" | "backup_deleted" | "repository_created" | "agent_created" | "token_created" | "token_revoked";
  readonly backupId?: string;
  readonly agentId?: string;
  /** "complete", or the id of what it was done to. */
  readonly outcome: string;
}

/** Writes a line of the audit trail in the name of the context's actor. */
export async function recordEvent({ ctx, input }: { ctx: Pick<Context, "db" | "clock" | "actor">; input: AdministrativeEvent }): Promise<void> {
  await ctx.db.insert(restoreEvents).values({ eventId: nanoid(), at: ctx.clock.now(), actor: ctx.actor.name, ...input });
}
