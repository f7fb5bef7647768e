import { readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startCoordinator, type Coordinator } from "../../coordinator/coordinator.ts";
import { parseConfig } from "../../coordinator/config.ts";
import { createLogger } from "../../coordinator/logger/create-logger.ts";
import { temporaryFolder } from "../tools/environment.ts";
import { startTestMariadb, type TestMariadb } from "../tools/mariadb.ts";

const main = new URL("../../coordinator/main.ts", import.meta.url).pathname;
const migrateMain = new URL("../../coordinator/migrate.ts", import.meta.url).pathname;
let home: string;
beforeEach(async () => {
  home = await temporaryFolder();
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

function environment(more: Record<string, string> = {}): Record<string, string> {
  return { PLUCK_HOME: home, PLUCK_PORT: "0", PLUCK_BROKER_PORT: "0", PLUCK_LOG_LEVEL: "info", ...more };
}

/** The coordinator in a process of its own; resolves when it says that it is ready. */
async function spawnCoordinator(more: Record<string, string> = {}) {
  const running = execa(process.execPath, [main], { env: environment(more), reject: false, all: true });
  const url = await new Promise<string>((resolve, reject) => {
    let text = "";
    running.stdout.on("data", (data: Buffer) => {
      text += data.toString();
      const found = /ready at (http:\S+)\//.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    running.then(({ all }) => reject(new Error(`it ended: ${String(all)}`)), reject);
  });
  return { running, url };
}

async function api(url: string, path: string, token: string): Promise<{ status: number; code?: string }> {
  const response = await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  const body = (await response.json()) as { code?: string };
  return { status: response.status, ...(body.code === undefined ? {} : { code: body.code }) };
}

async function adminToken(): Promise<string> {
  return (await readFile(join(home, "admin-token"), "utf8")).trim();
}

/** Command lines of living processes that use this state folder. */
async function processesOf(folder: string): Promise<string[]> {
  const { stdout } = await execa("ps", ["-eo", "stat=,args="]);
  return stdout.split("\n").filter((line) => line.includes(folder) && !line.startsWith("Z"));
}

async function until(what: string, check: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(50);
  }
}

describe("a coordinator on its own", () => {
  it("starts with nothing, keeps its token and rows over a restart, and stops in time without leaving anything", async () => {
    const first = await spawnCoordinator();
    const token = await adminToken();
    expect((await stat(join(home, "admin-token"))).mode & 0o777).toBe(0o600);
    expect(await api(first.url, "/api/v1/backups", token)).toEqual({ status: 200 });
    expect((await (await fetch(`${first.url}/healthz`)).json())).toEqual({ status: "ok", database: true, broker: true });
    await fetch(`${first.url}/api/v1/repositories`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: '{"id":"kept"}' });
    const begun = Date.now();
    first.running.kill("SIGTERM");
    expect((await first.running).exitCode).toBe(0);
    expect(Date.now() - begun).toBeLessThan(8000);
    expect(await processesOf(home)).toEqual([]);

    const second = await spawnCoordinator();
    expect(await adminToken()).toBe(token);
    expect(await (await fetch(`${second.url}/api/v1/repositories`, { headers: { Authorization: `Bearer ${token}` } })).json()).toMatchObject({ repositories: [{ id: "kept" }] });
    // The schema's command works on the running one.
    expect((await execa(process.execPath, [migrateMain, "status"], { env: environment() })).stdout).toMatch(/0001_catalog: applied/);

    second.running.kill("SIGKILL");
    await second.running;
    await until("its database is gone", async () => (await processesOf(home)).length === 0);
    const third = await spawnCoordinator();
    expect(await api(third.url, "/api/v1/backups", token)).toEqual({ status: 200 });
    third.running.kill("SIGINT");
    expect((await third.running).exitCode).toBe(0);
    expect(await processesOf(home)).toEqual([]);
  });

  it("says 503 while its database is gone, starts it again, and goes on", async () => {
    const log: string[] = [];
    const coordinator = await startCoordinator({ ...parseConfig(environment()), fastDatabase: true }, { logger: createLogger("info", { write: (line: string) => log.push(line) }) });
    try {
      const token = await adminToken();
      const { stdout } = await execa("pgrep", ["-f", `datadir=${join(home, "database", "data")}`]);
      const seen = new Set<string>();
      process.kill(Number(stdout.trim()), "SIGKILL");
      await until("it answers again", async () => {
        const { status, code } = await api(coordinator.url, "/api/v1/backups", token);
        seen.add(`${String(status)} ${code ?? ""}`);
        return status === 200;
      });
      expect([...seen].filter((answer) => answer !== "200 " && answer !== "503 database_unavailable")).toEqual([]);
      expect(log.join("")).toContain("the private database ended unasked");
      await until("it is healthy again", async () => (await fetch(`${coordinator.url}/healthz`)).status === 200);
    } finally {
      await coordinator.close();
    }
    expect(await processesOf(home)).toEqual([]);
  });

  it("ends with 78 and every wrong variable when its configuration is wrong, before it starts anything", async () => {
    const { exitCode, stderr } = await execa(process.execPath, [main], { env: environment({ PLUCK_PORT: "x", PLUCK_DATABASE_URL: "nonsense" }), reject: false });
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(/PLUCK_PORT/);
    expect(stderr).toMatch(/PLUCK_DATABASE_URL/);
  });

  it("says at once that its port is in use", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { exitCode, stderr } = await execa(process.execPath, [main], { env: environment({ PLUCK_PORT: String(port) }), reject: false });
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/EADDRINUSE/)]);
    expect(await processesOf(home)).toEqual([]);
    await new Promise((resolve) => taken.close(resolve));
  });

  it("waits a bounded time for a database that does not answer, answers 503 meanwhile, and says where it looked", async () => {
    const env = environment({ PLUCK_DATABASE_URL: "mysql://user:secret@127.0.0.1:1/pluck", PLUCK_DATABASE_WAIT_S: "1" });
    const { exitCode, stderr } = await execa(process.execPath, [main], { env, reject: false });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/the database does not answer yet; trying again/);
    expect(stderr).toMatch(/could not be reached within 1 s \(ECONNREFUSED\)/);
    expect(stderr).not.toContain("secret");
  });
});

describe("two coordinators on one database", () => {
  let mariadb: TestMariadb;
  beforeAll(async () => {
    mariadb = await startTestMariadb();
  });
  afterAll(async () => {
    await mariadb?.stop();
  });

  it("start at the same time, share tokens and signing keys, and see each other's rows", async () => {
    const database = await mariadb.createEmpty();
    const token = "one-token-for-both-of-them";
    const config = (name: string) => parseConfig(environment({ PLUCK_HOME: join(home, name), PLUCK_DATABASE_URL: database.url, PLUCK_ADMIN_TOKEN: token, PLUCK_LOG_LEVEL: "silent" }));
    const both: Coordinator[] = await Promise.all([startCoordinator(config("one")), startCoordinator(config("two"))]);
    try {
      const [one, two] = both as [Coordinator, Coordinator];
      const made = await fetch(`${one.url}/api/v1/tokens`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: '{"name":"shared"}' });
      const { token: shared } = (await made.json()) as { token: string };
      expect(await api(two.url, "/api/v1/backups", shared)).toEqual({ status: 200 });
      expect(await database.query("SELECT COUNT(*) AS n FROM signing_keys")).toEqual([{ n: 1 }]);
      await one.ensureAgent({ id: "a1", repositoryId: "r1", password: "first" });
      await two.ensureAgent({ id: "a1", repositoryId: "r1", password: "second" });
      expect(await database.query("SELECT id, repository_id FROM agents")).toEqual([{ id: "a1", repository_id: "r1" }]);
    } finally {
      await Promise.all(both.map(async (coordinator) => await coordinator.close()));
    }
  });
});
