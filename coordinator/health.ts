import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import type { Database } from "./database/connect.ts";

export interface Health {
  /** `degraded` still answers what needs no agent, so a load balancer should keep it. */
  readonly status: "ok" | "degraded" | "starting" | "unavailable";
  readonly database: boolean;
  /** Without the broker nothing new can be opened; what is open can be read. */
  readonly broker: boolean;
}

const timeoutMs = 2000;

export async function checkHealth(db: Database, isBrokerConnected: () => boolean): Promise<Health> {
  const database = await Promise.race([db.execute(sql`SELECT 1`).then(() => true, () => false), sleep(timeoutMs, false, { ref: false })]);
  const broker = isBrokerConnected();
  return { status: !database ? "unavailable" : broker ? "ok" : "degraded", database, broker };
}
