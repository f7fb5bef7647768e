import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { migrateUp } from "../../coordinator/database/migrate.ts";
import { startTestMariadb, type TestDatabase, type TestMariadb } from "../tools/mariadb.ts";
import { bareCatalog, sendense216 } from "./old-catalogs.ts";
import { createSite, insertMount, type ScannedFile, type TestSite } from "./test-context.ts";

let mariadb: TestMariadb;
let database: TestDatabase;
let site: TestSite;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => {
  await mariadb?.stop();
});
beforeEach(async () => {
  database = await mariadb.create();
  site = await createSite(database);
});

const disk0 = "pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2";
const disk1 = "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2";
const pgtest1 = {
  vm_name: "pgtest1",
  repository_id: "r1",
  backup_id: "backup-pgtest1-1759947871",
  disks: [
    { disk_index: 0, qcow2_path: disk0, vmware_disk_key: 2000 },
    { disk_index: 1, qcow2_path: disk1, vmware_disk_key: 2001 },
  ],
};

function addFiles(): void {
  site.agent.files.set(disk0, { sizeBytes: 102 * 1024 ** 3 });
  site.agent.files.set(disk1, { sizeBytes: 5 * 1024 ** 3 - 1 });
}

async function register(more: object = {}) {
  return await site.request("POST", "/api/v1/backups", { body: { ...pgtest1, ...more } });
}

describe("registering a backup", () => {
  beforeEach(addFiles);

  it("puts it into the catalog with sizes, type and time as the agent found them", async () => {
    const { status, body } = await register();
    expect(status).toBe(201);
    expect(body).toEqual({
      backup_id: "backup-pgtest1-1759947871", vm_name: "pgtest1", repository_id: "r1", backup_type: "full", status: "completed",
      created_at: "2026-01-02T03:04:05.000Z", completed_at: "2026-01-02T03:04:05.000Z",
      disks: [
        { disk_index: 0, vmware_disk_key: 2000, size_gb: 102, size_bytes: 109521666048, stored_bytes: null, qcow2_path: disk0, status: "completed", mountable: true },
        { disk_index: 1, vmware_disk_key: 2001, size_gb: 5, size_bytes: 5368709119, stored_bytes: null, qcow2_path: disk1, status: "completed", mountable: true },
      ],
    });
    expect((await site.request("GET", "/api/v1/backups/backup-pgtest1-1759947871/disks")).body).toEqual({ backup_id: body.backup_id, disks: body.disks });
    expect(await database.query("SELECT vm_name, repository_id, total_backups_run AS total, last_backup_id AS last FROM vm_backup_contexts")).toEqual([{ vm_name: "pgtest1", repository_id: "r1", total: 1, last: "backup-pgtest1-1759947871" }]);
    expect(await database.query("SELECT type, actor, backup_id FROM restore_events")).toEqual([{ type: "backup_registered", actor: "admin", backup_id: "backup-pgtest1-1759947871" }]);
  });

  it("is harmless again, and refused when it differs", async () => {
    await register();
    site.agent.online = false;
    expect((await register()).status).toBe(200);
    for (const [difference, why] of [
      [{ vm_name: "other" }, /its VM is "pgtest1"/],
      [{ disks: pgtest1.disks.slice(0, 1) }, /it has 2 disks/],
      [{ disks: [pgtest1.disks[0], { ...pgtest1.disks[1], qcow2_path: "x" }] }, /its disk 1 is pgtest1\/disk-1/],
      [{ backup_type: "incremental" }, /its type is full/],
      [{ completed_at: "2020-01-01T00:00:00Z" }, /it was completed at/],
    ] as const) {
      const { status, body } = await register(difference);
      expect([status, body.code, body.detail]).toEqual([409, "backup_exists", expect.stringMatching(why)]);
    }
    expect(await database.query("SELECT COUNT(*) AS n FROM backup_disks")).toEqual([{ n: 2 }]);
  });

  it("makes one backup of many requests at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, async () => await register()));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(19).fill(200), 201]);
    expect(await database.query("SELECT COUNT(*) AS n FROM backup_disks")).toEqual([{ n: 2 }]);
    expect(await database.query("SELECT total_backups_run AS n FROM vm_backup_contexts")).toEqual([{ n: 1 }]);
  });

  it("of many VMs and restore points at once loses none", async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, async (_, n) => {
      const path = `vm${String(n % 3)}/disk-0/${String(n)}.qcow2`;
      site.agent.files.set(path, {});
      return await site.request("POST", "/api/v1/backups", { body: { vm_name: `vm${String(n % 3)}`, repository_id: "r1", backup_id: `b${String(n)}`, disks: [{ disk_index: 0, qcow2_path: path }] } });
    }));
    expect(answers.map(({ status }) => status)).toEqual(Array<number>(30).fill(201));
    expect(await database.query("SELECT vm_name AS vm, total_backups_run AS n FROM vm_backup_contexts ORDER BY vm")).toEqual([{ vm: "vm0", n: 10 }, { vm: "vm1", n: 10 }, { vm: "vm2", n: 10 }]);
    expect(await database.query("SELECT total_backups AS n FROM backup_chains")).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
  });

  it("without an id gets the same one each time", async () => {
    const { backup_id: _, ...anonymous } = pgtest1;
    const first = await site.request("POST", "/api/v1/backups", { body: anonymous });
    const second = await site.request("POST", "/api/v1/backups", { body: anonymous });
    expect([first.status, second.status, second.body.backup_id]).toEqual([201, 200, first.body.backup_id]);
    expect(first.body.backup_id).toMatch(/^backup-pgtest1-[0-9a-f]{16}$/);
  });

  it("is refused by what is wrong with a file, and nothing stays behind", async () => {
    for (const code of ["backup_in_use", "chain_outside_repository", "corrupt", "unsupported"]) {
      site.agent.files.set(disk1, { error: { code, detail: "as it is" } });
      expect((await register()).body).toMatchObject({ code, qcow2_path: disk1, detail: `${disk1}: as it is` });
    }
    site.agent.files.delete(disk1);
    expect((await register()).body).toMatchObject({ status: 404, code: "qcow2_missing" });
    expect(await database.query("SELECT COUNT(*) AS n FROM backup_jobs")).toEqual([{ n: 0 }]);
    site.agent.online = false;
    expect((await register()).body).toMatchObject({ status: 503, code: "agent_offline" });
    expect((await register({ repository_id: "nowhere" })).body).toMatchObject({ status: 404, code: "repository_not_found" });
  });

  it("is refused when it makes no sense", async () => {
    for (const [more, expected] of [
      [{ disks: [pgtest1.disks[0], { ...pgtest1.disks[1], disk_index: 0 }] }, /disk 0 is listed twice/],
      [{ disks: [pgtest1.disks[0], { ...pgtest1.disks[1], qcow2_path: disk0 }] }, /is listed twice/],
      [{ disks: [] }, /disks: must have at least 1 items/],
      [{ vm_name: "a\u0000b" }, /vm_name/],
      [{ vm_name: " a" }, /vm_name/],
      [{ backup_id: "a/b" }, /backup_id/],
      [{ completed_at: "1300-01-01T00:00:00Z" }, /completed_at/],
      [{ disks: [{ disk_index: 0, qcow2_path: "a\nb" }] }, /control characters/],
      [{ disks: [{ disk_index: 0, qcow2_path: "\ud800" }] }, /qcow2_path/],
    ] as const) {
      const { body } = await register(more);
      expect([body.code, body.detail]).toEqual(["invalid_request", expect.stringMatching(expected)]);
    }
  });

  it("keeps names and paths apart that differ only in case or accents", async () => {
    for (const [n, name] of ["web", "Web", "wéb", "web ☃ 𝒳"].entries()) {
      const path = `${name}/disk-0/x.qcow2`;
      site.agent.files.set(path, {});
      expect((await site.request("POST", "/api/v1/backups", { body: { vm_name: name, repository_id: "r1", backup_id: n % 2 === 0 ? `id${String(n)}` : `ID${String(n)}`, disks: [{ disk_index: 0, qcow2_path: path }] } })).status).toBe(201);
      const listed = await site.request("GET", `/api/v1/backups?vm_name=${encodeURIComponent(name)}`);
      expect(listed.body.backups.map((backup: { vm_name: string; disks: { qcow2_path: string }[] }) => [backup.vm_name, backup.disks[0]?.qcow2_path])).toEqual([[name, path]]);
    }
    expect((await site.request("GET", "/api/v1/backups/ID0")).body.code).toBe("backup_not_found");
  });
});

describe("chains", () => {
  async function point(id: string, day: number, isFull: boolean): Promise<void> {
    const path = `vm/disk-0/${id}.qcow2`;
    site.agent.files.set(path, { chain: isFull ? [path] : [path, "vm/disk-0/base.qcow2"] });
    const { status, body } = await site.request("POST", "/api/v1/backups", { body: { vm_name: "vm", repository_id: "r1", backup_id: id, completed_at: `2026-01-0${String(day)}T00:00:00Z`, disks: [{ disk_index: 0, qcow2_path: path }] } });
    expect([status, body.backup_type]).toEqual([201, isFull ? "full" : "incremental"]);
  }
  async function chain() {
    return (await database.query("SELECT full_backup_id AS full, latest_backup_id AS latest, total_backups AS total FROM backup_chains"))[0];
  }

  it("follow the newest restore point from its full one on, in whatever order they are registered and deleted", async () => {
    await point("f1", 1, true);
    expect(await chain()).toEqual({ full: "f1", latest: "f1", total: 1 });
    await point("i3", 3, false);
    await point("i2", 2, false);
    expect(await chain()).toEqual({ full: "f1", latest: "i3", total: 3 });
    await point("f5", 5, true);
    expect(await chain()).toEqual({ full: "f5", latest: "f5", total: 1 });
    expect(await database.query("SELECT last_backup_id AS id FROM vm_backup_contexts")).toEqual([{ id: "f5" }]);
    await site.request("DELETE", "/api/v1/backups/f5");
    expect(await chain()).toEqual({ full: "f1", latest: "i3", total: 3 });
    expect(await database.query("SELECT last_backup_id AS id, last_backup_type AS type FROM vm_backup_contexts")).toEqual([{ id: "i3", type: "incremental" }]);
    for (const id of ["f1", "i2", "i3"]) await site.request("DELETE", `/api/v1/backups/${id}`);
    expect(await chain()).toBeUndefined();
  });
});

describe("listing backups", () => {
  it("comes newest first in pages that stay right while others come and go", async () => {
    await database.query("INSERT INTO vm_backup_contexts (context_id, vm_name, repository_id) VALUES ('c', 'vm', 'r1')");
    for (let n = 0; n < 25; n += 1) {
      // Several at the same moment, some without any time.
      await database.query("INSERT INTO backup_jobs (id, vm_backup_context_id, vm_name, backup_type, status, created_at, completed_at) VALUES (?, 'c', 'vm', 'full', 'completed', '2026-01-01', ?)", [`b${String(n).padStart(2, "0")}`, n < 5 ? null : `2026-02-${String(1 + Math.floor(n / 4)).padStart(2, "0")} 00:00:00.123`]);
    }
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 20; pages += 1) {
      const { body } = await site.request("GET", `/api/v1/backups?limit=4${cursor}`);
      seen.push(...body.backups.map((backup: { backup_id: string }) => backup.backup_id));
      if (pages === 1) await database.query("DELETE FROM backup_jobs WHERE id IN ('b24', 'b20')");
      if (body.next === undefined) break;
      cursor = `&cursor=${body.next}`;
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, n) => `b${String(24 - n).padStart(2, "0")}`));
    for (const query of ["cursor=x", "cursor=W10", "limit=0", "limit=1001", "vm_name="]) expect((await site.request("GET", `/api/v1/backups?${query}`)).body.code, query).toBe("invalid_request");
  });

  it("shows which disks are open, and which can't be mounted", async () => {
    addFiles();
    await register();
    await insertMount(database, "m1", 2);
    await database.query("UPDATE backup_disks SET status = 'running' WHERE disk_index = 0");
    const { body } = await site.request("GET", "/api/v1/backups/backup-pgtest1-1759947871/disks");
    expect(body.disks.map((disk: { mountable: boolean; mount_id?: string }) => [disk.mountable, disk.mount_id])).toEqual([[false, undefined], [true, "m1"]]);
    await database.query("UPDATE restore_mounts SET status = 'failed'");
    expect((await site.request("GET", "/api/v1/backups/backup-pgtest1-1759947871/disks")).body.disks[1].mount_id).toBeUndefined();
  });
});

describe("deleting a backup", () => {
  it("takes its disks and mounts along, on the agent too, and leaves the audit trail", async () => {
    addFiles();
    await register();
    await insertMount(database, "m1", 1, "nbd0");
    await insertMount(database, "m2", 2, "nbd1");
    expect((await site.request("DELETE", "/api/v1/backups/backup-pgtest1-1759947871")).status).toBe(204);
    for (const table of ["backup_jobs", "backup_disks", "restore_mounts", "backup_chains"]) expect(await database.query(`SELECT COUNT(*) AS n FROM ${table}`), table).toEqual([{ n: 0 }]);
    expect(site.agent.calls.filter(({ op }) => op === "unmount").map(({ body }) => (body as { mount_id: string }).mount_id).sort()).toEqual(["m1", "m2"]);
    expect((await site.request("GET", "/api/v1/events?type=backup_deleted")).body.events).toMatchObject([{ backup_id: "backup-pgtest1-1759947871", actor: "admin" }]);
    expect((await site.request("DELETE", "/api/v1/backups/backup-pgtest1-1759947871")).body.code).toBe("backup_not_found");
  });

  it("also works while the agent is away", async () => {
    addFiles();
    await register();
    await insertMount(database, "m1", 1);
    site.agent.online = false;
    expect((await site.request("DELETE", "/api/v1/backups/backup-pgtest1-1759947871")).status).toBe(204);
    expect(await database.query("SELECT COUNT(*) AS n FROM restore_mounts")).toEqual([{ n: 0 }]);
  });
});

describe("scanning a repository", () => {
  function found(path: string, more: Partial<ScannedFile> = {}): ScannedFile {
    const [vm = "", folder = ""] = path.split("/");
    return { vm_name: vm, disk_index: Number(folder.replace("disk-", "")), qcow2_path: path, size_bytes: 5, modified_at: "2026-01-01T00:00:00.000Z", chain: [path], error: null, ...more };
  }
  async function scan() {
    return (await site.request("POST", "/api/v1/repositories/r1/scan")).body;
  }
  const later = "pgtest1/disk-0/backup-pgtest1-disk0-20251009-010000.qcow2";

  it("registers what is new, as restore points of all their disks, once", async () => {
    site.agent.scanned = [found(later, { chain: [later, disk0] }), found(disk1), found(disk0), found("web/disk-0/monday.qcow2")];
    const first = await scan();
    expect(first).toMatchObject({ repository_id: "r1", already_known: 0, problems: [], truncated: false });
    expect(first.registered).toHaveLength(3);
    expect((await site.request("GET", "/api/v1/backups?vm_name=pgtest1")).body.backups.map((backup: { backup_type: string; completed_at: string; disks: unknown[] }) => [backup.backup_type, backup.completed_at, backup.disks.length])).toEqual([
      ["incremental", "2025-10-09T01:00:00.000Z", 1],
      ["full", "2025-10-08T19:24:31.000Z", 2],
    ]);
    expect(await scan()).toMatchObject({ registered: [], already_known: 3 });
    const both = await Promise.all([scan(), scan()]);
    expect(both.map(({ registered }) => registered)).toEqual([[], []]);
  });

  it("does not duplicate what is registered, also under an absolute path", async () => {
    addFiles();
    await register();
    await database.query("UPDATE backup_disks SET qcow2_path = CONCAT('/mnt/backups/', qcow2_path) WHERE disk_index = 1");
    site.agent.scanned = [found(disk0), found(disk1)];
    expect(await scan()).toMatchObject({ registered: [], already_known: 1 });
  });

  it("reports files that can't be read, keeps their disks on record as failed, and mends them later", async () => {
    site.agent.scanned = [found(disk0), found(disk1, { size_bytes: 0, error: { code: "qcow2_missing", detail: "its backing file is not there" } })];
    const { registered, problems } = await scan();
    expect(problems).toEqual([{ qcow2_path: disk1, code: "qcow2_missing", detail: "its backing file is not there" }]);
    const read = async () => (await site.request("GET", `/api/v1/backups/${registered[0]}/disks`)).body.disks.map((disk: { status: string; mountable: boolean }) => [disk.status, disk.mountable]);
    expect(await read()).toEqual([["completed", true], ["failed", false]]);
    site.agent.scanned = [found(disk0), found(disk1)];
    expect(await scan()).toMatchObject({ registered: [], already_known: 1, problems: [] });
    expect(await read()).toEqual([["completed", true], ["completed", true]]);
  });

  it("adds a disk that came later to its restore point", async () => {
    site.agent.scanned = [found(disk0)];
    const { registered } = await scan();
    site.agent.scanned = [found(disk0), found(disk1)];
    expect(await scan()).toMatchObject({ registered: [], already_known: 1 });
    expect((await site.request("GET", `/api/v1/backups/${registered[0]}/disks`)).body.disks).toHaveLength(2);
  });

  it("leaves alone what is being written, and what can't be read at all, and says so", async () => {
    site.agent.scanned = [found(disk0), found(disk1, { error: { code: "backup_in_use", detail: "it is being written" } }), found(later, { error: { code: "corrupt", detail: "no qcow2" } })];
    const { registered, problems } = await scan();
    expect([registered, problems.map(({ code }: { code: string }) => code)]).toEqual([[], ["backup_in_use", "corrupt"]]);
    expect((await site.request("POST", "/api/v1/repositories/nowhere/scan")).body.code).toBe("repository_not_found");
  });
});

describe("an adopted catalog", () => {
  it.each([["Sendense 2.16", sendense216], ["a bare one", bareCatalog]])("is served as it is: %s", async (_, sql) => {
    database = await mariadb.createEmpty();
    await database.script(sql);
    await migrateUp(database.url);
    site = await createSite(database);
    const { body } = await site.request("GET", "/api/v1/backups?vm_name=pgtest1");
    expect(body.backups.map((backup: { backup_id: string; status: string }) => [backup.backup_id, backup.status]).sort()).toEqual([["backup-pgtest1-1759947871", "completed"], ["backup-pgtest1-1759999999", "running"]]);
    const { body: { disks } } = await site.request("GET", "/api/v1/backups/backup-pgtest1-1759947871/disks");
    expect(disks).toMatchObject([
      { disk_index: 0, vmware_disk_key: 2000, size_gb: 102, size_bytes: null, status: "completed", mountable: true },
      { disk_index: 1, vmware_disk_key: 2001, size_gb: 5, status: "completed", mountable: true },
    ]);
    expect((await site.request("GET", "/api/v1/backups/BACKUP-PGTEST1-1759947871")).body.code).toBe("backup_not_found");
    await database.query("INSERT INTO agents (id, name, repository_id, broker_password_sha256) VALUES ('a9', 'a9', 'repo-local-1759780872', '')");
    expect((await site.request("DELETE", "/api/v1/backups/backup-pgtest1-1759947871")).status).toBe(204);
    expect(await database.query("SELECT COUNT(*) AS n FROM backup_disks WHERE backup_job_id = 'backup-pgtest1-1759947871'")).toEqual([{ n: 0 }]);
  });

  it("takes new backups where its own rules allow, and says so where they don't", async () => {
    database = await mariadb.createEmpty();
    await database.script(bareCatalog);
    await migrateUp(database.url);
    site = await createSite(database);
    addFiles();
    expect((await register({ backup_id: "new" })).status).toBe(201);
    expect(await database.query("SELECT COUNT(*) AS n FROM backup_disks WHERE backup_job_id = 'new' AND size_bytes > 0")).toEqual([{ n: 2 }]);

    database = await mariadb.createEmpty();
    await database.script(sendense216);
    await migrateUp(database.url);
    site = await createSite(database);
    addFiles();
    const { status, body } = await register({ backup_id: "new" });
    expect([status, body.code, body.detail]).toEqual([400, "invalid_request", expect.stringMatching(/records of its own/)]);
    expect(await database.query("SELECT COUNT(*) AS n FROM backup_jobs WHERE id = 'new'")).toEqual([{ n: 0 }]);
  });
});
