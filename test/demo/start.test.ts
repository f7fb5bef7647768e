import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pgtestFull, pgtestIncremental, webFull } from "../../deploy/demo/catalog.ts";
import { eventually, processesWith, startSystem, type System } from "../system/system.ts";
import { temporaryFolder } from "../tools/environment.ts";

// Property: the start command brings up a Pluck that a user can try at once, keeps its state private,
// refuses a second one on the same state, and leaves nothing behind however it ends.

let folder: string;
let home: string;
let system: System;

beforeAll(async () => {
  folder = await temporaryFolder();
  home = join(folder, "home");
  system = await startSystem(home);
});

afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function text(backupId: string, diskIndex: number, path: string): Promise<string> {
  const mount = await system.mount(backupId, diskIndex);
  const response = await system.follow(`/restore/${mount.mount_id}/download?path=${encodeURIComponent(path)}`);
  expect(response.status, path).toBe(200);
  return await response.text();
}

function start(environment: Record<string, string>) {
  return execa(process.execPath, ["deploy/start.ts"], {
    cwd: join(import.meta.dirname, "../.."),
    env: { PLUCK_PORT: "0", PLUCK_AGENT_PORT: "0", PLUCK_BROKER_PORT: "0", ...environment },
    reject: false,
    timeout: 30_000,
  });
}

/** What it says beside its log. */
const said = (stderr: string): string[] => stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));

describe("the start command", () => {
  it("has the demo's backups registered when it is ready, under their own ids", async () => {
    const { body } = await system.api("GET", "/backups");
    expect(body.backups.map((backup: { backup_id: string; backup_type: string; disks: unknown[] }) => [backup.backup_id, backup.backup_type, backup.disks.length]).toSorted()).toEqual(
      [
        [pgtestFull.backup_id, "full", 2],
        [pgtestIncremental.backup_id, "incremental", 2],
        [webFull.backup_id, "full", 1],
      ].toSorted(),
    );
    const disks = (await system.api("GET", `/backups/${pgtestFull.backup_id}/disks`)).body.disks;
    expect(disks.map((disk: { size_gb: number; vmware_disk_key: number; mountable: boolean }) => [disk.size_gb, disk.vmware_disk_key, disk.mountable])).toEqual([
      [102, 2000, true],
      [5, 2001, true],
    ]);
  });

  it("shows full and incremental, open side by side, with their own files", async () => {
    expect(await text(pgtestFull.backup_id, 0, "/p2/etc/hosts")).not.toContain("web02");
    expect(await text(pgtestIncremental.backup_id, 0, "/p2/etc/hosts")).toContain("web02");
    expect(await text(pgtestFull.backup_id, 1, "/disk/dumps/latest.sql")).toContain("2025-10-07");
    expect(await text(pgtestIncremental.backup_id, 1, "/disk/dumps/latest.sql")).toContain("2025-10-08");
    expect(await text(webFull.backup_id, 0, "/p1/etc/hostname")).toBe("web01\n");
    const gone = await system.mount(pgtestIncremental.backup_id, 0);
    expect((await system.follow(`/restore/${gone.mount_id}/download?path=%2Fp2%2Fhome%2Fanna%2FDocuments%2Fdraft.txt`)).status).toBe(404);
  });

  it("keeps its state to itself", async () => {
    const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
    expect(await mode(home)).toBe(0o700);
    expect(await mode(join(home, "admin-token"))).toBe(0o600);
    for (const name of await readdir(home)) expect((await mode(join(home, name))) & 0o022, name).toBe(0);
  });

  it("puts no token into its log", async () => {
    expect(system.logs()).not.toContain(system.token);
    expect(system.logs()).not.toMatch(/token=ey/);
  });

  it("refuses a second start on the same state folder, in one line", async () => {
    const { exitCode, stdout, stderr } = await start({ PLUCK_HOME: home });
    expect(exitCode).toBe(1);
    expect(stdout).toBe("");
    expect(stderr.split("\n")).toEqual([expect.stringMatching(/^pluck: another pluck is running on .*home/)]);
  });

  it("says in one line which port is taken, and which folder is none", async () => {
    const taken = await start({ PLUCK_HOME: join(folder, "other"), PLUCK_PORT: new URL(system.url).port });
    expect([taken.exitCode, said(taken.stderr)]).toEqual([1, [expect.stringMatching(/^pluck: port \d+ is in use/)]]);
    const none = await start({ PLUCK_HOME: join(folder, "other"), PLUCK_REPOSITORY: join(folder, "nowhere") });
    expect([none.exitCode, said(none.stderr)]).toEqual([1, [expect.stringMatching(/^pluck: PLUCK_REPOSITORY=.*nowhere is not a folder/)]]);
    expect((await start({ PLUCK_HOME: join(folder, "other"), PLUCK_PORT: "many" })).exitCode).toBe(78);
  });

  it("starts a killed agent again, and leaves nothing when it is killed itself; the next start works", async () => {
    const before = (await system.api("GET", "/agents")).body.agents[0].public_url as string;
    const [agent = 0] = await childrenOf(system.pid, "agent/main.ts");
    process.kill(agent, "SIGKILL");
    await eventually("another agent serves", async () => {
      const [another] = await childrenOf(system.pid, "agent/main.ts");
      const { body } = await system.api("GET", "/agents");
      return another !== undefined && another !== agent && body.agents[0].online === true && body.agents[0].public_url !== before;
    });
    const children = await childrenOf(system.pid);
    await system.stop("SIGKILL");
    await eventually("all its children end", async () => (await Promise.all(children.map(isGone))).every(Boolean) && (await processesWith(home)).length === 0, 15_000);
    system = await startSystem(home);
    expect(await text(pgtestFull.backup_id, 0, "/p2/etc/hostname")).toBe("pgtest1\n");
  });

  it("does not bring back a demo backup that somebody deleted, and stops in order within 10 s", async () => {
    expect((await system.api("DELETE", `/backups/${webFull.backup_id}`)).status).toBe(204);
    const begunAt = Date.now();
    expect(await system.stop()).toBe(0);
    expect(Date.now() - begunAt).toBeLessThan(10_000);
    expect(await processesWith(home)).toEqual([]);
    system = await startSystem(home);
    expect((await system.api("GET", `/backups/${webFull.backup_id}`)).status).toBe(404);
  });

  it("registers by a scan what lies in a repository of the user's own", async () => {
    const repository = join(folder, "own");
    await mkdir(join(repository, "db7", "disk-0"), { recursive: true });
    await execa("qemu-img", ["create", "-q", "-f", "qcow2", join(repository, "db7/disk-0/backup-db7-disk0-20251101-010203.qcow2"), "1G"]);
    await system.stop();
    system = await startSystem(join(folder, "own-home"), { PLUCK_REPOSITORY: repository });
    const { body } = await system.api("GET", "/backups?vm_name=db7");
    expect(body.backups).toHaveLength(1);
    expect(body.backups[0]).toMatchObject({ repository_id: "local", disks: [{ disk_index: 0, size_bytes: 1024 ** 3, qcow2_path: "db7/disk-0/backup-db7-disk0-20251101-010203.qcow2" }] });
    expect(await readdir(repository)).toEqual(["db7"]);
  });
});

async function childrenOf(pid: number, word = ""): Promise<number[]> {
  const { stdout } = await execa("ps", ["-o", "pid=,args=", "--ppid", String(pid)], { reject: false });
  return stdout
    .split("\n")
    .filter((line) => line.trim() !== "" && line.includes(word) && !line.includes("ps -o"))
    .map((line) => Number.parseInt(line, 10));
}

async function isGone(pid: number): Promise<boolean> {
  // A zombie has ended: whoever inherits it collects it.
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State:\tX");
  return /^State:\t[XZ]/m.test(status);
}
