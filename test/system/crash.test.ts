import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Mount } from "../../shared/api.ts";
import { makeRepository, type TestRepository } from "./repository.ts";
import { descendantsWith, eventually, processesWith, startSystem, type System } from "./system.ts";

// Property: whoever is killed with -9, in whatever state, nothing stays behind that is not wanted
// (no process, no stuck row, no slot held for good), and what was open is open again.

let folder: string;
let repository: TestRepository;
let system: System;
let backupId: string;

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-crash-");
  repository = await makeRepository(folder);
  system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository.path, PLUCK_NBD_SLOTS: "4", PLUCK_HEARTBEAT_S: "0.5" });
  await register();
});

afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function register(): Promise<void> {
  const sites = (await system.api("GET", "/repositories")).body;
  const site = (sites.repositories ?? sites)[0];
  backupId = "backup-crash-1";
  const reply = await system.api("POST", "/backups", {
    vm_name: "crash",
    repository_id: site.id,
    backup_id: backupId,
    disks: [0, 1].map((index) => ({ disk_index: index, qcow2_path: repository.disks[`full${index as 0 | 1}`] })),
  });
  expect([200, 201], JSON.stringify(reply.body)).toContain(reply.status);
}

async function version(mount: Mount): Promise<string> {
  const response = await system.follow(`/restore/${mount.mount_id}/download?path=%2Fdisk%2FPG_VERSION`);
  return response.ok ? response.text() : `${response.status}`;
}

async function settled(mount: Mount): Promise<void> {
  await eventually("the file can be read again", async () => {
    try {
      return (await version(mount)) === "16\n";
    } catch {
      return false;
    }
  }, 60_000);
}

async function killed(...words: string[]): Promise<void> {
  const pids = await descendantsWith(system.pid, ...words);
  expect(pids.length, words.join(" ")).toBeGreaterThan(0);
  for (const pid of pids) process.kill(pid, "SIGKILL");
}

describe("after kill -9", () => {
  it("of qemu-nbd: reading goes on under the same mount", async () => {
    const mount = await system.mount(backupId, 1);
    expect(await version(mount)).toBe("16\n");
    await killed("qemu-nbd");
    await settled(mount);
    expect((await system.api("GET", `/restore/${mount.mount_id}`)).body.status).toBe("mounted");
  });

  it("of the agent: the mount is open again under the same id, with one qemu-nbd", async () => {
    const mount = await system.mount(backupId, 1);
    await killed("agent/main.ts", system.home);
    await settled(mount);
    await eventually("one qemu-nbd", async () => (await processesWith("qemu-nbd", system.home)).length === 1);
    const { body } = await system.api("GET", "/restore/resources");
    expect(body.agents[0]).toMatchObject({ slots_used: 1 });
  });

  it("of the agent while it opens: the row is neither stuck nor lost", async () => {
    const asked = system.api("POST", "/restore/mount", { backup_id: backupId, disk_index: 0 });
    await killed("agent/main.ts", system.home);
    await asked;
    const mount = await eventually("disk 0 can be mounted", async () => {
      const reply = await system.api("POST", "/restore/mount", { backup_id: backupId, disk_index: 0 });
      return reply.body.status === "mounted" ? (reply.body as Mount) : undefined;
    }, 60_000);
    expect((await system.api("DELETE", `/restore/${mount.mount_id}`)).status).toBe(204);
    await eventually("its slot is free", async () => {
      const { body } = await system.api("GET", "/restore/resources");
      return body.agents[0].slots_used === (await system.api("GET", "/restore/mounts")).body.mounts.length;
    });
  });

  it("of the database: requests work again", async () => {
    const mount = await system.mount(backupId, 1);
    await killed("mariadbd");
    await settled(mount);
    expect((await system.api("GET", `/backups/${backupId}/disks`)).status).toBe(200);
  });

  it("of everything: nothing is left running, and the next start finds the mount", async () => {
    const mount = await system.mount(backupId, 1);
    await system.stop("SIGKILL");
    await eventually("no process of ours is left", async () => (await processesWith(system.home)).length === 0, 15_000);
    system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository.path, PLUCK_NBD_SLOTS: "4", PLUCK_HEARTBEAT_S: "0.5" });
    await settled(mount);
  });
});

describe("behind the coordinator's back", () => {
  it("ends the mount of a disk row that SQL deleted", async () => {
    const mount = await system.mount(backupId, 1);
    const socket = (await execa("find", [system.home, "/tmp", "-maxdepth", "3", "-type", "s", "-name", "*.sock"], { reject: false })).stdout;
    const databases = socket.split("\n").filter((path) => /maria|mysql|database/.test(path));
    expect(databases.length, socket).toBeGreaterThan(0);
    let deleted = false;
    for (const path of databases) {
      const { exitCode } = await execa("mariadb", [`--socket=${path}`, "--user=root", "pluck", "-e", `DELETE FROM backup_disks WHERE id = ${mount.backup_disk_id}`], { reject: false });
      deleted ||= exitCode === 0;
    }
    expect(deleted).toBe(true);
    await eventually("the mount ended on the agent", async () => (await processesWith("qemu-nbd", system.home)).length === 0, 30_000);
    expect((await system.api("GET", `/restore/${mount.mount_id}`)).status).toBe(404);
  });

  it("stops everything at SIGTERM", async () => {
    const begun = Date.now();
    expect(await system.stop()).toBe(0);
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(await processesWith(system.home)).toEqual([]);
  });
});
