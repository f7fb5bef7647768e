import type { Context } from "../../context.ts";
import type { RestoreMountRow } from "../../database/schema.ts";
import { extendLeases } from "./rows.ts";

/** A lease is not written anew for every request: a slide shorter than this waits for the next one. */
const slideMs = 5000;

/** The least slide that is written: a short idle time needs finer steps. */
export function leaseStepMs(idleTimeoutS: number): number {
  return Math.min(slideMs, idleTimeoutS * 100);
}

export function leaseEnd(accessedAt: Date, idleTimeoutS: number): Date {
  return new Date(accessedAt.getTime() + idleTimeoutS * 1000);
}

/** Slides a mount's lease because of an access now. */
export async function touchMount({ ctx, input: row }: { ctx: Pick<Context, "db" | "clock" | "config">; input: RestoreMountRow }): Promise<void> {
  const now = ctx.clock.now();
  if (now.getTime() - row.lastAccessedAt.getTime() < leaseStepMs(ctx.config.idleTimeoutS)) return;
  await extendLeases(ctx.db, [{ id: row.id, accessedAt: now, expiresAt: leaseEnd(now, ctx.config.idleTimeoutS) }]);
}
