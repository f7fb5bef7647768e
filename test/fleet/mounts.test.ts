import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endMount } from "../../coordinator/services/mounts/end-mount.ts";
import { getMount, getOpenMount, listMounts } from "../../coordinator/services/mounts/get-mount.ts";
import { mountDisk } from "../../coordinator/services/mounts/mount-disk.ts";
import { sweepMounts } from "../../coordinator/services/sweep/sweep-mounts.ts";
import { cleanupStatus } from "../../coordinator/services/sweep/cleanup-status.ts";
import { startTestMariadb, type TestMariadb } from "../tools/mariadb.ts";
import { eventually, makeSite, type Site, type TestCoordinator } from "./site.ts";
import type { FakeAgent } from "./fake-agent.ts";

// Property: one mount per disk, whoever asks and however many coordinators there are; and the rows
// follow what happens on the agent, whoever dies.

let mariadb: TestMariadb;
let site: Site;

beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => await mariadb.stop());
beforeEach(async () => {
  site = await makeSite(mariadb);
});
afterEach(async () => await site.stop());

async function online(coordinator: TestCoordinator, agent: FakeAgent): Promise<void> {
  await eventually("the agent is online", () => coordinator.fleet.isOnline(agent.options.id));
}
const disk = (diskIndex: number) => ({ backupId: "backup-1", diskIndex });

describe("mounting", () => {
  it("opens a disk once, and finds it open the second time", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount, outcome } = await mountDisk({ ctx: one.ctx, input: disk(1) });
    expect(outcome).toBe("created");
    expect(mount).toMatchObject({ backup_id: "backup-1", disk_index: 1, status: "mounted", agent_id: "agent-a", nbd_device: "nbd0", filesystem_type: "ext4" });
    expect(mount.mount_path).toBe(`http://127.0.0.1:9/v1/mounts/${mount.mount_id}`);
    expect(mount.volumes.map((volume) => volume.name)).toEqual(["disk"]);
    const again = await mountDisk({ ctx: one.ctx, input: disk(1) });
    expect([again.outcome, again.mount.mount_id]).toEqual(["open", mount.mount_id]);
    expect(agent.sent("mount")).toHaveLength(1);
    expect(agent.open.get(mount.mount_id)?.qcow2Path).toBe("pgtest1/disk-1/d.qcow2");
    expect(await getMount({ ctx: one.ctx, input: mount.mount_id })).toEqual(mount);
    expect(await listMounts({ ctx: one.ctx, input: undefined })).toEqual([mount]);
  });

  it("gives 100 concurrent requests on two coordinators one row, one command and one answer", async () => {
    const agent = site.agent();
    agent.mountDelayMs = 150;
    const coordinators = [await site.coordinator(), await site.coordinator()];
    for (const each of coordinators) await online(each, agent);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => mountDisk({ ctx: coordinators[index % 2]!.ctx, input: disk(0) })));
    expect(new Set(answers.map(({ mount }) => JSON.stringify(mount))).size).toBe(1);
    expect(answers.filter(({ outcome }) => outcome === "created")).toHaveLength(1);
    expect(agent.sent("mount")).toHaveLength(1);
    expect(await site.rows()).toHaveLength(1);
  });

  it("opens several disks side by side, each in its own slot", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const answers = await Promise.all([0, 1, 2, 3].map((index) => mountDisk({ ctx: one.ctx, input: disk(index) })));
    expect(answers.map(({ mount }) => mount.nbd_device).sort()).toEqual(["nbd0", "nbd1", "nbd2", "nbd3"]);
  });

  it.each([
    ["an unknown backup", { backupId: "nope", diskIndex: 0 }, { code: "backup_not_found" }],
    ["a disk the backup doesn't have", { backupId: "backup-1", diskIndex: 9 }, { code: "disk_not_found", extra: { disk_indexes: [0, 1, 2, 3] }, message: expect.stringContaining("0, 1, 2, 3") }],
  ])("refuses %s", async (_, input, expected) => {
    const one = await site.coordinator();
    await expect(mountDisk({ ctx: one.ctx, input })).rejects.toMatchObject(expected);
  });

  it("refuses a disk that is not completed", async () => {
    const one = await site.coordinator();
    await site.database.query("UPDATE backup_disks SET status = 'running' WHERE disk_index = 2");
    await expect(mountDisk({ ctx: one.ctx, input: disk(2) })).rejects.toMatchObject({ code: "backup_incomplete" });
  });

  it("says at once that the agent is offline, and makes no row", async () => {
    const one = await site.coordinator();
    await expect(mountDisk({ ctx: one.ctx, input: disk(0) })).rejects.toMatchObject({ code: "agent_offline" });
    expect(await site.rows()).toEqual([]);
  });

  it("answers pending when it takes longer than the wait, and the mount comes", async () => {
    const agent = site.agent();
    agent.mountDelayMs = 600;
    const one = await site.coordinator({ mountWaitS: 0.1 });
    await online(one, agent);
    const { mount, outcome } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    expect([outcome, mount.status]).toEqual(["pending", "mounting"]);
    await eventually("it is mounted", async () => (await getMount({ ctx: one.ctx, input: mount.mount_id })).status === "mounted");
    const zero = await site.coordinator({ mountWaitS: 0 });
    await online(zero, agent);
    expect((await mountDisk({ ctx: zero.ctx, input: disk(1) })).outcome).toBe("pending");
  });

  it("keeps what a refused mount was refused for, and the next request starts anew", async () => {
    const agent = site.agent();
    agent.refuse = { code: "qcow2_missing", detail: "No file pgtest1/disk-0/d.qcow2." };
    const one = await site.coordinator();
    await online(one, agent);
    await expect(mountDisk({ ctx: one.ctx, input: disk(0) })).rejects.toMatchObject({ code: "qcow2_missing", message: "No file pgtest1/disk-0/d.qcow2." });
    const [failed] = await site.rows();
    expect(failed).toMatchObject({ status: "failed", error_code: "qcow2_missing", nbd_device: null });
    expect((await getMount({ ctx: one.ctx, input: failed!.id })).error).toEqual({ code: "qcow2_missing", detail: "No file pgtest1/disk-0/d.qcow2." });
    agent.refuse = undefined;
    const { mount, outcome } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    expect(outcome).toBe("created");
    expect(mount.mount_id).not.toBe(failed!.id);
    expect(await site.rows()).toHaveLength(1);
  });

  it("leaves no row when all slots are taken, and says when to come back", async () => {
    const agent = site.agent({ slots: 2 });
    const two = [await site.coordinator(), await site.coordinator()];
    for (const each of two) await online(each, agent);
    await mountDisk({ ctx: two[0]!.ctx, input: disk(0) });
    await mountDisk({ ctx: two[0]!.ctx, input: disk(1) });
    const refused = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => mountDisk({ ctx: two[index % 2]!.ctx, input: disk(2) })));
    for (const each of refused) expect(each).toMatchObject({ status: "rejected", reason: { code: "nbd_devices_exhausted", retryAfterS: 30 } });
    expect(await site.rows()).toHaveLength(2);
    const { mount_id } = (await listMounts({ ctx: two[0]!.ctx, input: undefined }))[0]!;
    await endMount({ ctx: two[1]!.ctx, input: { mountId: mount_id, reason: "requested" } });
    expect((await mountDisk({ ctx: two[0]!.ctx, input: disk(2) })).mount.nbd_device).toBe("nbd0");
  });

  it("believes the agent when a stale row names the slot", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    agent.sendsHeartbeats = false;
    agent.open.clear();
    const other = await mountDisk({ ctx: one.ctx, input: disk(1) });
    expect(other.mount.nbd_device).toBe("nbd0");
    expect((await site.rows()).find((row) => row.id === mount.mount_id)).toMatchObject({ status: "mounted", nbd_device: null });
    agent.sendsHeartbeats = true;
    await eventually("the stale one is open again in another slot", async () => (await getMount({ ctx: one.ctx, input: mount.mount_id })).nbd_device === "nbd1");
  });

  it("fails the request when the agent dies over it, and nothing is stuck", async () => {
    const agent = site.agent();
    agent.mountDelayMs = 5000;
    const one = await site.coordinator();
    await online(one, agent);
    const asked = mountDisk({ ctx: one.ctx, input: disk(0) });
    asked.catch(() => undefined);
    await eventually("the command arrived", () => agent.sent("mount").length === 1);
    agent.kill();
    await expect(asked).rejects.toMatchObject({ code: "agent_offline" });
    const back = site.agent();
    await online(one, back);
    expect((await mountDisk({ ctx: one.ctx, input: disk(0) })).outcome).toBe("created");
    expect(back.mounts()).toHaveLength(1);
  });

  it("times out on a mute agent, and ends the mount when it opens after all", async () => {
    const agent = site.agent();
    agent.isMute = true;
    const one = await site.coordinator({ timings: { mountTimeoutMs: 400 } });
    await online(one, agent);
    await expect(mountDisk({ ctx: one.ctx, input: disk(0) })).rejects.toMatchObject({ code: "agent_timeout" });
    const [row] = await site.rows();
    expect(row).toMatchObject({ status: "failed", error_code: "agent_timeout" });
    agent.isMute = false;
    agent.open.set(row!.id, { nbdDevice: "nbd0", lastAccessedAt: new Date(), transfers: 0, qcow2Path: "x" });
    await eventually("the late mount is ended", () => agent.mounts().length === 0);
  });

  it("tells a deletion that comes in between from a fault", async () => {
    const agent = site.agent();
    agent.mountDelayMs = 300;
    const one = await site.coordinator();
    await online(one, agent);
    const asked = mountDisk({ ctx: one.ctx, input: disk(0) });
    asked.catch(() => undefined);
    await eventually("the command arrived", () => agent.sent("mount").length === 1);
    await site.database.query("DELETE FROM backup_jobs WHERE id = 'backup-1'");
    await expect(asked).rejects.toMatchObject({ code: "mount_not_found" });
    await eventually("the agent holds nothing", () => agent.mounts().length === 0 && agent.opening.size === 0);
  });
});

describe("ending", () => {
  it("takes mount and row away, and is idempotent", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    for (let time = 0; time < 3; time += 1) await endMount({ ctx: one.ctx, input: { mountId: mount.mount_id, reason: "requested" } });
    expect(agent.mounts()).toEqual([]);
    expect(await site.rows()).toEqual([]);
    await expect(getMount({ ctx: one.ctx, input: mount.mount_id })).rejects.toMatchObject({ code: "mount_not_found" });
    await endMount({ ctx: one.ctx, input: { mountId: "mnt-never-was", reason: "requested" } });
  });

  it("sends one command when two coordinators end it at once", async () => {
    const agent = site.agent();
    const two = [await site.coordinator(), await site.coordinator()];
    for (const each of two) await online(each, agent);
    const { mount } = await mountDisk({ ctx: two[0]!.ctx, input: disk(0) });
    await Promise.all(Array.from({ length: 20 }, (_, index) => endMount({ ctx: two[index % 2]!.ctx, input: { mountId: mount.mount_id, reason: "requested" } })));
    expect(agent.sent("unmount")).toHaveLength(1);
    await eventually("the row is gone", async () => (await site.rows()).length === 0);
  });

  it("finishes when the agent is back, if it was away", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    agent.kill();
    await eventually("it is offline", () => !one.fleet.isOnline("agent-a"));
    await endMount({ ctx: one.ctx, input: { mountId: mount.mount_id, reason: "requested" } });
    expect(await site.rows()).toMatchObject([{ status: "unmounting" }]);
    await expect(mountDisk({ ctx: one.ctx, input: disk(0) })).rejects.toMatchObject({ code: "agent_offline" });
    // It lost only its connection: the disk is still open there.
    const back = site.agent();
    back.open.set(mount.mount_id, { nbdDevice: "nbd0", lastAccessedAt: new Date(), transfers: 0, qcow2Path: "x" });
    await eventually("mount and row are gone", async () => back.mounts().length === 0 && (await site.rows()).length === 0);
  });

  it("tries again when the agent could not", async () => {
    const agent = site.agent();
    agent.refuseUnmount = { code: "internal", detail: "not now" };
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    await endMount({ ctx: one.ctx, input: { mountId: mount.mount_id, reason: "requested" } });
    expect(await site.rows()).toMatchObject([{ status: "unmounting", nbd_device: "nbd0" }]);
    agent.refuseUnmount = undefined;
    await eventually("it is ended", async () => agent.mounts().length === 0 && (await site.rows()).length === 0);
  });

  it("lets a new mount of the disk wait for the end of the old one", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    const ending = endMount({ ctx: one.ctx, input: { mountId: mount.mount_id, reason: "requested" } });
    const again = await mountDisk({ ctx: one.ctx, input: disk(0) });
    await ending;
    expect(again.mount.mount_id === mount.mount_id ? again.outcome : again.mount.status).toMatch(/open|mounted/);
  });
});

describe("healing", () => {
  it("opens again, under the same ids, what a restarted agent lost; one command each", async () => {
    const agent = site.agent();
    const two = [await site.coordinator(), await site.coordinator()];
    for (const each of two) await online(each, agent);
    const ids = (await Promise.all([0, 1, 2].map((index) => mountDisk({ ctx: two[0]!.ctx, input: disk(index) })))).map(({ mount }) => mount.mount_id).sort();
    agent.kill();
    await eventually("it is offline", () => two.every((each) => !each.fleet.isOnline("agent-a")));
    const back = site.agent();
    await eventually("all are open again", async () => back.mounts().length === 3 && (await site.rows()).every((row) => row.status === "mounted"), 15_000);
    expect(back.mounts()).toEqual(ids);
    expect(back.sent("mount")).toHaveLength(3);
    const rows = await site.rows();
    for (const row of rows) expect(row.nbd_device).toBe(back.open.get(row.id)?.nbdDevice);
  });

  it("lets a reader wait for a mount that is just opened again", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    await site.database.query("UPDATE restore_mounts SET state_changed_at = state_changed_at - INTERVAL 1 MINUTE");
    agent.mountDelayMs = 400;
    agent.open.clear();
    await eventually("it is being opened", async () => (await site.rows())[0]?.status === "mounting");
    const record = await getOpenMount({ ctx: one.ctx, input: mount.mount_id });
    expect(record.row).toMatchObject({ id: mount.mount_id, status: "mounted" });
  });

  it("shows why a mount could not be opened again", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    await site.database.query("UPDATE restore_mounts SET state_changed_at = state_changed_at - INTERVAL 1 MINUTE");
    agent.refuse = { code: "qcow2_missing", detail: "Gone." };
    agent.open.clear();
    await eventually("it failed", async () => (await getMount({ ctx: one.ctx, input: mount.mount_id })).error?.code === "qcow2_missing");
    agent.refuse = undefined;
    expect((await mountDisk({ ctx: one.ctx, input: disk(0) })).outcome).toBe("created");
  });

  it("gives up a mount that its agent loses again and again", async () => {
    const agent = site.agent({ heartbeatMs: 50 });
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    const losing = setInterval(() => {
      agent.open.clear();
      // It may lose against the coordinator's own statement; the next one comes soon.
      site.database.query("UPDATE restore_mounts SET state_changed_at = state_changed_at - INTERVAL 2 SECOND WHERE status = 'mounted'").catch(() => undefined);
    }, 20);
    await eventually("it failed", async () => (await getMount({ ctx: one.ctx, input: mount.mount_id })).error?.code === "io_error", 20_000);
    clearInterval(losing);
    expect(agent.sent("mount").length).toBeLessThanOrEqual(11);
    expect((await mountDisk({ ctx: one.ctx, input: disk(0) })).outcome).toBe("created");
  });

  it.each([
    ["the mount's row", "DELETE FROM restore_mounts"],
    ["the disk's row", "DELETE FROM backup_disks"],
    ["the backup", "DELETE FROM backup_jobs"],
    ["the VM", "DELETE FROM vm_backup_contexts"],
  ])("ends on the agent a mount whose row SQL took away with %s", async (_, statement) => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    await mountDisk({ ctx: one.ctx, input: disk(0) });
    await site.database.query(statement);
    expect(await site.rows()).toEqual([]);
    await eventually("it is ended", () => agent.mounts().length === 0);
  });

  it("ends the mounts of a deletion at once", async () => {
    const agent = site.agent({ heartbeatMs: 60_000 });
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    await site.database.query("DELETE FROM backup_jobs");
    await one.ctx.mounts.endDeleted([{ mountId: mount.mount_id, agentId: "agent-a" }, { mountId: "mnt-x", agentId: "agent-b" }]);
    expect(agent.mounts()).toEqual([]);
  });

  it.each([
    ["before the agent heard of it", false],
    ["after the agent opened it", true],
  ])("finishes a mount whose coordinator died %s", async (_, isOpen) => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    if (isOpen) agent.open.set("mnt-stuck", { nbdDevice: "nbd3", lastAccessedAt: new Date(), transfers: 0, qcow2Path: "x" });
    await insertRow("mounting", "- INTERVAL 1 SECOND");
    await eventually("it is mounted", async () => (await site.rows())[0]?.status === "mounted");
    expect(agent.mounts()).toEqual(["mnt-stuck"]);
  });

  it("lets a request finish what a dead coordinator left, before any heartbeat", async () => {
    const agent = site.agent({ heartbeatMs: 60_000 });
    const one = await site.coordinator();
    await online(one, agent);
    await insertRow("mounting", "- INTERVAL 1 SECOND");
    expect(await mountDisk({ ctx: one.ctx, input: disk(0) })).toMatchObject({ outcome: "open", mount: { mount_id: "mnt-stuck", status: "mounted" } });
    await endMount({ ctx: one.ctx, input: { mountId: "mnt-stuck", reason: "requested" } });
    await insertRow("unmounting", "- INTERVAL 1 SECOND");
    expect((await mountDisk({ ctx: one.ctx, input: disk(0) })).outcome).toBe("created");
  });

  it.each([[true], [false]])("finishes an end whose coordinator died (open on the agent: %s)", async (isOpen) => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    if (isOpen) agent.open.set("mnt-stuck", { nbdDevice: "nbd3", lastAccessedAt: new Date(), transfers: 0, qcow2Path: "x" });
    await insertRow("unmounting", "- INTERVAL 1 SECOND");
    await eventually("mount and row are gone", async () => agent.mounts().length === 0 && (await site.rows()).length === 0);
  });

  it("leaves alone what a living coordinator is at", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    await insertRow("mounting", "+ INTERVAL 1 MINUTE");
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(agent.commands).toEqual([]);
    expect(await site.rows()).toMatchObject([{ status: "mounting", generation: 1 }]);
  });

  it("keeps the claim on a slow mount, so that nobody sends it again", async () => {
    const agent = site.agent();
    agent.mountDelayMs = 2000;
    const two = [await site.coordinator({ timings: { claimMs: 500 } }), await site.coordinator({ timings: { claimMs: 500 } })];
    for (const each of two) await online(each, agent);
    expect((await mountDisk({ ctx: two[0]!.ctx, input: disk(0) })).outcome).toBe("created");
    expect(agent.sent("mount")).toHaveLength(1);
  });

  async function insertRow(status: string, deadline: string): Promise<void> {
    await site.database.query(
      `INSERT INTO restore_mounts (id, backup_disk_id, agent_id, status, state_changed_at, command_deadline, created_at, updated_at, last_accessed_at, expires_at)
       SELECT 'mnt-stuck', id, 'agent-a', '${status}', UTC_TIMESTAMP(3) - INTERVAL 1 MINUTE, UTC_TIMESTAMP(3) ${deadline}, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) + INTERVAL 1 HOUR
       FROM backup_disks WHERE disk_index = 0`,
    );
  }
});

describe("several agents of one repository", () => {
  it("lets another one open the disk when the first is away for long, and ends the old mount at its return", async () => {
    await site.database.query("UPDATE agents SET repository_id = 'site-a'");
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    const other = site.agent({ id: "agent-b" });
    await online(one, other);
    agent.kill();
    await eventually("it is offline", () => !one.fleet.isOnline("agent-a"));
    await expect(mountDisk({ ctx: one.ctx, input: disk(0) })).rejects.toMatchObject({ code: "agent_offline" });
    await site.database.query("UPDATE agents SET last_seen_at = last_seen_at - INTERVAL 2 MINUTE WHERE id = 'agent-a'");
    const moved = await mountDisk({ ctx: one.ctx, input: disk(0) });
    expect(moved).toMatchObject({ outcome: "created", mount: { agent_id: "agent-b", status: "mounted" } });
    const back = site.agent();
    back.open.set(mount.mount_id, { nbdDevice: "nbd0", lastAccessedAt: new Date(), transfers: 0, qcow2Path: "x" });
    await eventually("the old mount is ended, the new one stays", () => back.mounts().length === 0 && other.mounts().length === 1);
  });

  it("chooses the one with the most free slots", async () => {
    await site.database.query("UPDATE agents SET repository_id = 'site-a'");
    const [small, large] = [site.agent({ slots: 2 }), site.agent({ id: "agent-b", slots: 4 })];
    const one = await site.coordinator();
    await online(one, small);
    await online(one, large);
    for (const index of [0, 1, 2, 3]) await mountDisk({ ctx: one.ctx, input: disk(index) });
    expect([small.mounts().length, large.mounts().length]).toEqual([1, 3]);
  });
});

describe("leases", () => {
  it("slide with accesses and running transfers that the agent reports", async () => {
    const agent = site.agent();
    const one = await site.coordinator({ idleTimeoutS: 100 });
    await online(one, agent);
    const { mount } = await mountDisk({ ctx: one.ctx, input: disk(0) });
    const other = await mountDisk({ ctx: one.ctx, input: disk(1) });
    const age = "UPDATE restore_mounts SET last_accessed_at = last_accessed_at - INTERVAL 80 SECOND, expires_at = expires_at - INTERVAL 80 SECOND";
    await site.database.query(age);
    const before = await site.rows();
    const held = agent.open.get(mount.mount_id)!;
    held.lastAccessedAt = new Date(Date.now() - 79_000);
    held.transfers = 1;
    agent.open.get(other.mount.mount_id)!.lastAccessedAt = new Date(Date.now() - 40_000);
    await eventually("both leases slid", async () => {
      const after = await site.rows();
      const gainedS = after.map((row, index) => (row.expires_at.getTime() - before[index]!.expires_at.getTime()) / 1000);
      // By a heartbeat that was on its way before the agent said otherwise.
      if (gainedS[1]! >= 50) await site.database.query(`${age} WHERE id = ?`, [other.mount.mount_id]);
      return gainedS[0]! > 75 && gainedS[1]! > 30 && gainedS[1]! < 50;
    });
  });

  it("end when they run out, by one coordinator, and not before the agent was heard", async () => {
    const agent = site.agent();
    const two = [await site.coordinator({ idleTimeoutS: 60 }), await site.coordinator({ idleTimeoutS: 60 })];
    for (const each of two) await online(each, agent);
    const { mount } = await mountDisk({ ctx: two[0]!.ctx, input: disk(0) });
    const kept = await mountDisk({ ctx: two[0]!.ctx, input: disk(1) });
    await sweepMounts({ ctx: two[0]!.ctx, input: undefined });
    expect(agent.mounts()).toHaveLength(2);

    // The coordinators were away: the lease seems to have run out, but no heartbeat since tells so.
    agent.sendsHeartbeats = false;
    agent.open.get(mount.mount_id)!.lastAccessedAt = new Date(Date.now() - 120_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await site.database.query("UPDATE restore_mounts SET last_accessed_at = last_accessed_at - INTERVAL 61 SECOND, expires_at = expires_at - INTERVAL 61 SECOND");
    await site.database.query("UPDATE agents SET last_seen_at = last_seen_at - INTERVAL 2 MINUTE");
    await sweepMounts({ ctx: two[0]!.ctx, input: undefined });
    expect(agent.mounts()).toHaveLength(2);

    agent.open.get(kept.mount.mount_id)!.transfers = 1;
    agent.heartbeat();
    await eventually("the agent was heard", async () => {
      const [row] = await site.database.query<{ fresh: number }>("SELECT last_seen_at > UTC_TIMESTAMP() - INTERVAL 10 SECOND AS fresh FROM agents WHERE id = 'agent-a'");
      return row?.fresh === 1;
    });
    await Promise.all(two.map(({ ctx }) => sweepMounts({ ctx, input: undefined })));
    await eventually("the idle one is ended", () => agent.mounts().length === 1);
    expect(agent.mounts()).toEqual([kept.mount.mount_id]);
    expect(agent.sent("unmount")).toHaveLength(1);
    expect(await cleanupStatus({ ctx: two[1]!.ctx, input: undefined })).toMatchObject({ idle_timeout_s: 60, ended_total: 1, expiring: [{ mount_id: kept.mount.mount_id }] });
  });
});

describe("a backup job", () => {
  it("wins over a lease", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    await mountDisk({ ctx: one.ctx, input: disk(0) });
    const kept = await mountDisk({ ctx: one.ctx, input: disk(1) });
    await site.database.query("UPDATE backup_disks SET status = 'running' WHERE disk_index = 0");
    await sweepMounts({ ctx: one.ctx, input: undefined });
    expect(agent.mounts()).toEqual([kept.mount.mount_id]);
  });
});

describe("the audit trail", () => {
  it("has who mounted and ended, and an agent's reports once", async () => {
    const agent = site.agent();
    const one = await site.coordinator();
    await online(one, agent);
    const ctx = { ...one.ctx, actor: { name: "anna", role: "operator" as const } };
    const { mount } = await mountDisk({ ctx, input: disk(1) });
    await endMount({ ctx, input: { mountId: mount.mount_id, reason: "requested" } });
    const event = { id: "e1", at: new Date().toISOString(), type: "transfer_finished" as const, mount_id: mount.mount_id, link_id: "l1", user: "anna", operation: "download" as const, path: "/disk/x", bytes: 7, outcome: "complete" };
    agent.report([event]);
    agent.report([event, { ...event, id: "e2", outcome: "client_gone" }]);
    const rows = () => site.database.query("SELECT type, actor, backup_id, disk_index, mount_id, agent_id, link_id, path, bytes, outcome FROM restore_events ORDER BY id");
    await eventually("all are there", async () => (await rows()).length === 4);
    const about = { backup_id: "backup-1", disk_index: 1, mount_id: mount.mount_id, agent_id: "agent-a", actor: "anna" };
    expect(await rows()).toMatchObject([
      { ...about, type: "mount", outcome: "complete" },
      { ...about, type: "unmount", outcome: "requested" },
      { ...about, type: "transfer_finished", outcome: "complete", path: "/disk/x", bytes: 7, link_id: "l1" },
      { ...about, type: "transfer_finished", outcome: "client_gone" },
    ]);
  });
});
