import { and, desc, gte, lt, type SQL } from "drizzle-orm";
import type { z } from "zod";
import type { eventListSchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { exactly } from "../../database/exactly.ts";
import { restoreEvents } from "../../database/schema.ts";

export interface EventFilter {
  readonly type?: string | undefined;
  readonly backupId?: string | undefined;
  readonly mountId?: string | undefined;
  readonly actor?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly limit: number;
  /** From the `next` of the page before. */
  readonly cursor?: string | undefined;
}

/** The audit trail, newest first. */
export async function listEvents({ ctx, input }: Call<EventFilter>): Promise<z.infer<typeof eventListSchema>> {
  const conditions: (SQL | undefined)[] = [
    input.type === undefined ? undefined : exactly(restoreEvents.type, input.type),
    input.backupId === undefined ? undefined : exactly(restoreEvents.backupId, input.backupId),
    input.mountId === undefined ? undefined : exactly(restoreEvents.mountId, input.mountId),
    input.actor === undefined ? undefined : exactly(restoreEvents.actor, input.actor),
    input.since === undefined ? undefined : gte(restoreEvents.at, input.since),
    input.until === undefined ? undefined : lt(restoreEvents.at, input.until),
    input.cursor === undefined ? undefined : lt(restoreEvents.id, parseCursor(input.cursor)),
  ];
  const rows = await ctx.db
    .select()
    .from(restoreEvents)
    .where(and(...conditions))
    .orderBy(desc(restoreEvents.id))
    .limit(input.limit + 1);
  const page = rows.slice(0, input.limit);
  const last = page.at(-1);
  return {
    events: page.map((row) => ({
      id: row.id,
      at: row.at.toISOString(),
      type: row.type,
      actor: row.actor,
      backup_id: row.backupId,
      disk_index: row.diskIndex,
      mount_id: row.mountId,
      agent_id: row.agentId,
      operation: row.operation,
      path: row.path,
      bytes: row.bytes,
      outcome: row.outcome,
    })),
    ...(rows.length > input.limit && last !== undefined ? { next: String(last.id) } : {}),
  };
}

function parseCursor(cursor: string): number {
  const id = Number(cursor);
  if (!/^\d{1,16}$/.test(cursor) || !Number.isSafeInteger(id)) throw new PluckError("invalid_request", "cursor: must be the `next` of the page before.");
  return id;
}
