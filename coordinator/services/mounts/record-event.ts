import { nanoid } from "nanoid";
import type { Context } from "../../context.ts";
import { restoreEvents } from "../../database/schema.ts";

export interface NewEvent {
  readonly type: "mount" | "remount" | "unmount" | "link_issued" | "extended" | "unlocked";
  readonly backupId?: string;
  readonly diskIndex?: number;
  readonly mountId: string;
  readonly agentId: string;
  readonly linkId?: string;
  readonly operation?: string;
  readonly path?: string;
  /** "complete", why it ended ("requested", "idle"), or an error code. */
  readonly outcome: string;
}

/** Writes a line of the audit trail, in the name of the context's actor. */
export async function recordEvent({ ctx, input }: { ctx: Pick<Context, "db" | "clock" | "actor">; input: NewEvent }): Promise<void> {
  await ctx.db.insert(restoreEvents).values({ eventId: nanoid(), at: ctx.clock.now(), actor: ctx.actor.name, ...input });
}

/** The same where what is recorded has happened already: a failure is logged, not thrown. */
export async function tryRecordEvent({ ctx, input }: { ctx: Pick<Context, "db" | "clock" | "actor" | "logger">; input: NewEvent }): Promise<void> {
  try {
    await recordEvent({ ctx, input });
  } catch (error) {
    ctx.logger.error({ err: error, event: { ...input, actor: ctx.actor.name } }, "could not write to the audit trail");
  }
}
