import { existsSync } from "node:fs";
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectDatabase } from "../../coordinator/database/connect.ts";
import { findPrivateMariadb, startPrivateMariadb } from "../../coordinator/database/private-mariadb.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";

const module = new URL("../../coordinator/database/private-mariadb.ts", import.meta.url).href;
let folder: string;
beforeEach(async () => {
  requireTools("mariadbd", "mariadb-install-db");
  folder = await temporaryFolder();
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function query(url: string, sql: string): Promise<unknown> {
  const connection = connectDatabase(url, { connectionLimit: 1 });
  try {
    return (await connection.pool.promise().query(sql))[0];
  } finally {
    await connection.close();
  }
}

/** Starts a server from a process of its own, which tells its URL and then waits. */
async function startElsewhere(state: string) {
  const script = `const { startPrivateMariadb } = await import(${JSON.stringify(module)});
    const server = await startPrivateMariadb(${JSON.stringify(state)}, { fast: true });
    console.log(JSON.stringify({ url: server.url, pid: server.pid }));
    setInterval(() => {}, 1000);`;
  const process_ = execa(process.execPath, ["--input-type=module", "-e", script], { reject: false });
  const line = await new Promise<string>((resolve) => process_.stdout.once("data", (data: Buffer) => resolve(data.toString())));
  return { process_, ...(JSON.parse(line) as { url: string; pid: number }) };
}

describe("the private MariaDB", () => {
  it("keeps its rows over a stop and a start, listens on no port, and its folder is private", async () => {
    const state = join(folder, "state");
    const first = await startPrivateMariadb(state, { fast: true });
    await query(first.url, "CREATE TABLE kept (id INT)");
    await query(first.url, "INSERT INTO kept VALUES (7)");
    expect(await query(first.url, "SELECT @@skip_networking AS v, @@time_zone AS z, @@innodb_flush_log_at_trx_commit AS f")).toEqual([{ v: 1, z: "+00:00", f: 0 }]);
    expect((await stat(state)).mode & 0o777).toBe(0o700);
    await first.stop();
    expect(await findPrivateMariadb(state)).toBeUndefined();
    const second = await startPrivateMariadb(state);
    expect(await query(second.url, "SELECT id FROM kept")).toEqual([{ id: 7 }]);
    expect(await query(second.url, "SELECT @@innodb_flush_log_at_trx_commit AS f")).toEqual([{ f: 1 }]);
    await second.stop();
  });

  it("starts again after the server was killed, whatever it left lying about", async () => {
    const first = await startPrivateMariadb(folder, { fast: true });
    process.kill(first.pid, "SIGKILL");
    await sleep(100);
    expect(existsSync(join(folder, "mariadb.sock"))).toBe(true);
    const second = await startPrivateMariadb(folder, { fast: true });
    expect(await query(second.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await first.stop();
    await second.stop();
  });

  it("dies with the process that started it, and the next one takes over", async () => {
    const other = await startElsewhere(folder);
    expect(await findPrivateMariadb(folder)).toBe(other.url);
    await expect(startPrivateMariadb(folder, { fast: true })).rejects.toThrow(/in use by process/);
    other.process_.kill("SIGKILL");
    await other.process_;
    const own = await startPrivateMariadb(folder, { fast: true });
    expect(own.pid).not.toBe(other.pid);
    expect(await query(own.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    // Gone, or a zombie that nobody collects where process 1 does not.
    expect(await readFile(`/proc/${String(other.pid)}/cmdline`, "utf8").catch(() => "")).toBe("");
    await own.stop();
  });

  it("serves a state folder with spaces and quotes in its path", async () => {
    const server = await startPrivateMariadb(join(folder, "odd \"name' & %41 ü"), { fast: true });
    expect(await query(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await server.stop();
  });

  it("serves a state folder whose path is too long for a socket", async () => {
    const deep = join(folder, "a-rather-long-name-for-a-folder".repeat(4), "state");
    const server = await startPrivateMariadb(deep, { fast: true });
    expect(Buffer.byteLength(server.socketPath)).toBeLessThan(108);
    expect(await query(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await server.stop();
    await rm(join(server.socketPath, ".."), { recursive: true });
  });

  it("shows the server's own log when it can't start", async () => {
    const server = await startPrivateMariadb(folder, { fast: true });
    await server.stop();
    await rm(join(folder, "data", "ibdata1"));
    await expect(startPrivateMariadb(folder, { fast: true })).rejects.toThrow(/mariadbd ended at once: .*\[ERROR\]/s);
    expect(await readFile(join(folder, "mariadb.log"), "utf8")).toContain("[ERROR]");
  });
});
