import { prometheus } from "@hono/prometheus";
import { count, sql } from "drizzle-orm";
import { Gauge, Registry } from "prom-client";
import { mountStatuses } from "../shared/api.ts";
import type { Context } from "./context.ts";
import { agents, restoreMounts } from "./database/schema.ts";

/** Request durations by route pattern, the process itself, and what the database says of agents and mounts. */
export function createMetrics(ctx: Pick<Context, "db" | "fleet" | "logger">): ReturnType<typeof prometheus> {
  const registry = new Registry();
  const { printMetrics, registerMetrics } = prometheus({ registry, collectDefaultMetrics: { register: registry }, prefix: "pluck_" });
  // A database that is away must not take the other figures along.
  const guarded = (collect: () => Promise<void>) => async () => {
    await collect().catch((error: unknown) => ctx.logger.warn({ err: error }, "could not collect a metric"));
  };
  const mounts = new Gauge({
    name: "pluck_mounts",
    help: "Mounts by status",
    labelNames: ["status"],
    registers: [registry],
    collect: guarded(async () => {
      const rows = await ctx.db.select({ status: restoreMounts.status, total: count() }).from(restoreMounts).groupBy(restoreMounts.status);
      for (const status of mountStatuses) mounts.set({ status }, rows.find((row) => row.status === status)?.total ?? 0);
    }),
  });
  const slots = new Gauge({
    name: "pluck_agent_slots_total",
    help: "Export slots of all registered agents",
    registers: [registry],
    collect: guarded(async () => {
      const [row] = await ctx.db.select({ total: sql<string | null>`SUM(${agents.slotsTotal})` }).from(agents);
      slots.set(Number(row?.total ?? 0));
    }),
  });
  const online = new Gauge({
    name: "pluck_agent_online",
    help: "1 for each agent that is online, 0 for one that is not",
    labelNames: ["agent"],
    registers: [registry],
    collect: guarded(async () => {
      online.reset();
      for (const { id } of await ctx.db.select({ id: agents.id }).from(agents)) online.set({ agent: id }, ctx.fleet.isOnline(id) ? 1 : 0);
    }),
  });
  return { printMetrics, registerMetrics };
}
