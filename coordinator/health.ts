import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import type { Database } from "./database/connect.ts";

export interface Health {
  readonly status: "ok" | "starting" | "unavailable";
  readonly database: boolean;
  /** Without the broker nothing new can be opened; what is open can be read. */
  readonly broker: boolean;
}

const timeoutMs = 2000;

export async function checkHealth(db: Database, isBrokerConnected: () => boolean): Promise<Health> {
  const database = await Promise.race([db.execute(sql`SELECT 1`).then(() => true, () => false), sleep(timeoutMs, false, { ref: false })]);
  const broker = isBrokerConnected();
  return { status: database && broker ? "ok" : "unavailable", database, broker };
}
