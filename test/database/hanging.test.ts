import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startCoordinator, type Coordinator } from "../../coordinator/coordinator.ts";
import { parseConfig } from "../../coordinator/config.ts";
import { connectDatabase, databaseErrorCode, isDatabaseUnavailable } from "../../coordinator/database/connect.ts";
import { createLogger } from "../../coordinator/logger/create-logger.ts";
import { temporaryFolder } from "../tools/environment.ts";
import { startTestMariadb, type TestDatabase, type TestMariadb } from "../tools/mariadb.ts";

// A database that hangs is worse than one that is dead: it closes nothing and answers nothing. Here its
// process is stopped by the kernel, as a frozen machine or a dead disk would.

let mariadb: TestMariadb;
let database: TestDatabase;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => {
  await mariadb?.stop();
});
beforeEach(async () => {
  database = await mariadb.create();
});
afterEach(() => {
  process.kill(mariadb.server.pid, "SIGCONT");
});

const token = "a-token-of-the-hanging-test";

describe("a database that hangs", () => {
  let coordinator: Coordinator;
  const log: string[] = [];
  const ask = async (bearer = token): Promise<{ status: number; code?: string; retryAfter: string | null }> => {
    const response = await fetch(`${coordinator.url}/api/v1/backups`, { headers: { Authorization: `Bearer ${bearer}` } });
    const { code } = (await response.json()) as { code?: string };
    return { status: response.status, ...(code === undefined ? {} : { code }), retryAfter: response.headers.get("Retry-After") };
  };

  it("is told as database_unavailable to every request, in the log as what it is, and is used again when it goes on", async () => {
    const home = await temporaryFolder();
    const config = parseConfig({
      PLUCK_HOME: home, PLUCK_PORT: "0", PLUCK_BROKER_PORT: "0", PLUCK_DATABASE_URL: database.url, PLUCK_ADMIN_TOKEN: token, PLUCK_DATABASE_TIMEOUT_S: "3", PLUCK_SWEEP_S: "3600",
    });
    coordinator = await startCoordinator(config, { logger: createLogger("info", { write: (line: string) => log.push(line) }) });
    try {
      expect((await ask()).status).toBe(200);
      process.kill(mariadb.server.pid, "SIGSTOP");
      // More than there are connections, of admins and of others, whose token is looked up first.
      const answers = await Promise.all(Array.from({ length: 50 }, async (_, index) => await ask(index % 2 === 0 ? token : "of-somebody-else")));
      expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set([JSON.stringify({ status: 503, code: "database_unavailable", retryAfter: "5" })]));
      expect(log.join("")).toContain("the database hangs: it did not answer in time, and a connection to it was given up");
      expect(log.join("")).not.toContain("password");
      const health = await fetch(`${coordinator.url}/healthz`);
      expect([health.status, ((await health.json()) as { database: boolean }).database]).toEqual([503, false]);
      process.kill(mariadb.server.pid, "SIGCONT");
      await untilIt("answers again", async () => (await ask()).status === 200);
      const many = await Promise.all(Array.from({ length: 50 }, async () => await ask()));
      expect(new Set(many.map(({ status }) => status))).toEqual(new Set([200]));
    } finally {
      process.kill(mariadb.server.pid, "SIGCONT");
      await coordinator.close();
    }
  });

  it("ends a statement and a transaction, not only requests, and gives no connection back that is still waiting", async () => {
    let givenUp = 0;
    const connection = connectDatabase(database.url, { connectionLimit: 1, queryTimeoutMs: 2000, onTimeout: () => (givenUp += 1) });
    try {
      const failure = await connection.db.transaction(async (tx) => {
        await tx.execute(sql`INSERT INTO repositories (id, name) VALUES ('lost', 'lost')`);
        await tx.execute(sql`SELECT SLEEP(600)`);
      }).then(() => undefined, (error: unknown) => error);
      expect([isDatabaseUnavailable(failure), givenUp]).toEqual([true, 1]);
      const [rows] = await connection.db.execute(sql`SELECT COUNT(*) AS n FROM repositories WHERE id = 'lost'`);
      expect(rows).toEqual([{ n: 0 }]);
      // With its only connection taken, others wait for one, and no longer than that.
      const slow = connection.db.execute(sql`SELECT SLEEP(600)`).catch((error: unknown) => error);
      const waiting = await connection.db.execute(sql`SELECT 1`).catch((error: unknown) => error);
      expect(isDatabaseUnavailable(await slow)).toBe(true);
      if (waiting instanceof Error) expect(databaseErrorCode(waiting)).toBe("PROTOCOL_SEQUENCE_TIMEOUT");
      await untilIt("serves again", async () => await connection.db.execute(sql`SELECT 1`).then(() => true, () => false));
    } finally {
      await connection.close();
    }
  });

  it("is not one whose statements just take their time", async () => {
    let givenUp = 0;
    const connection = connectDatabase(database.url, { connectionLimit: 2, queryTimeoutMs: 30_000, onTimeout: () => (givenUp += 1) });
    try {
      await Promise.all(Array.from({ length: 6 }, async () => await connection.db.execute(sql`SELECT SLEEP(0.2)`)));
      await connection.db.transaction(async (tx) => void (await tx.execute(sql`SELECT SLEEP(0.2)`)));
      expect(givenUp).toBe(0);
    } finally {
      await connection.close();
    }
  });
});

async function untilIt(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`waited in vain until it ${what}`);
    await sleep(50);
  }
}
