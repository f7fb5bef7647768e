import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readMigrations } from "../../coordinator/database/migration-files.ts";
import { migrateDown, migrateUp } from "../../coordinator/database/migrate.ts";
import { backupListSchema, sessionSchema, vmListSchema } from "../../shared/api.ts";
import { startTestMariadb, type TestDatabase, type TestMariadb } from "../tools/mariadb.ts";
import { bareCatalog, sendense216 } from "./old-catalogs.ts";
import { createSite, insertMount, type ScannedFile, type TestSite } from "./test-context.ts";

// What the page and the command line ask first: who am I, which VMs, which restore points, how large.

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

async function vms(query = ""): Promise<ReturnType<typeof vmListSchema.parse>> {
  const { status, body } = await site.request("GET", `/api/v1/vms${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return vmListSchema.parse(body);
}
const names = (list: Awaited<ReturnType<typeof vms>>): string[] => list.vms.map(({ vm_name: name }) => name);

async function addVm(name: string, repositoryId: string): Promise<string> {
  const id = `c-${Buffer.from(`${name}${repositoryId}`).toString("hex").slice(0, 60)}`;
  await database.query("INSERT INTO vm_backup_contexts (context_id, vm_name, repository_id) VALUES (?, ?, ?)", [id, name, repositoryId]);
  return id;
}

async function addPoint(context: string, id: string, status: string, completedAt: string | null, type = "full", createdAt = "2026-01-01"): Promise<void> {
  await database.query(
    "INSERT INTO backup_jobs (id, vm_backup_context_id, vm_name, backup_type, status, created_at, completed_at) SELECT ?, context_id, vm_name, ?, ?, ?, ? FROM vm_backup_contexts WHERE context_id = ?",
    [id, type, status, createdAt, completedAt, context],
  );
}

describe("the session", () => {
  it("tells the token's name and role, and nothing without one", async () => {
    expect(sessionSchema.parse((await site.request("GET", "/api/v1/session")).body)).toEqual({ name: "admin", role: "admin" });
    const { token } = (await site.request("POST", "/api/v1/tokens", { body: { name: "anna", role: "operator" } })).body;
    const { status, body, headers } = await site.request("GET", "/api/v1/session", { token });
    expect([status, body, headers.get("Cache-Control")]).toEqual([200, { name: "anna", role: "operator" }, "no-store"]);
    expect((await site.request("GET", "/api/v1/session", { token: null })).body.code).toBe("unauthenticated");
    for (const method of ["DELETE", "PUT", "POST"]) {
      const refused = await site.request(method, "/api/v1/session");
      expect([refused.status, refused.body.code, refused.headers.get("Allow")]).toEqual([405, "method_not_allowed", "GET, HEAD"]);
    }
  });
});

describe("the VMs", () => {
  it("come once each by name, with every repository, all points counted and the newest of any status", async () => {
    await database.query("INSERT INTO repositories (id, name) VALUES ('r2', 'Site Two')");
    const web1 = await addVm("web", "r1");
    const web2 = await addVm("web", "r2");
    await addVm("empty", "r2");
    const db = await addVm("db", "gone");
    await addPoint(web1, "w1", "completed", "2026-02-01 10:00:00.250");
    await addPoint(web1, "w2", "failed", null, "incremental", "2026-02-03");
    await addPoint(web2, "w3", "completed", "2026-02-02 10:00:00");
    await addPoint(db, "d1", "completed", "2026-03-01 00:00:00.250");
    expect(await vms()).toEqual({
      vms: [
        { vm_name: "db", repositories: [{ id: "gone", name: "gone", online: false }], restore_points: 1, latest: { backup_id: "d1", backup_type: "full", status: "completed", completed_at: "2026-03-01T00:00:00.250Z" } },
        { vm_name: "empty", repositories: [{ id: "r2", name: "Site Two", online: false }], restore_points: 0, latest: null },
        {
          vm_name: "web",
          repositories: [{ id: "r1", name: "site one", online: true }, { id: "r2", name: "Site Two", online: false }],
          restore_points: 3,
          latest: { backup_id: "w2", backup_type: "incremental", status: "failed", completed_at: null },
        },
      ],
    });
    // A second agent of a repository is no second repository, and one that is online is enough.
    await database.query("INSERT INTO agents (id, name, repository_id, broker_password_sha256) VALUES ('a0', 'a0', 'r1', '')");
    expect((await vms("?search=web")).vms[0]).toMatchObject({ restore_points: 3, repositories: [{ id: "r1", online: true }, { id: "r2" }] });
    site.agent.online = false;
    expect((await vms("?search=web")).vms[0]?.repositories.map(({ online }) => online)).toEqual([false, false]);
  });

  it("are found by any part of their name or of a repository's id or name, whatever the case, and by nothing else", async () => {
    await database.query("INSERT INTO repositories (id, name) VALUES ('nfs-2', 'Zürich, Keller')");
    for (const [name, repository] of [["Mail_01", "r1"], ["mailX01", "r1"], ["100% sure", "r1"], ["ÄPFEL 🍎", "r1"], ["🍐", "r1"], ["other", "nfs-2"]] as const) await addVm(name, repository);
    for (const [search, found] of [
      ["mail", ["Mail_01", "mailX01"]],
      ["L_0", ["Mail_01"]],
      ["0%", ["100% sure"]],
      ["%", ["100% sure"]],
      ["äpf", ["ÄPFEL 🍎"]],
      ["🍎", ["ÄPFEL 🍎"]],
      ["NFS-", ["other"]],
      ["zürich", ["other"]],
      ["keller", ["other"]],
      ["'; DROP", []],
      ["\\", []],
    ] as const) {
      expect(names(await vms(`?search=${encodeURIComponent(search)}`)), search).toEqual(found);
    }
    // Another VM in the same repository does not bring its repositories along.
    await addVm("mail_01-copy", "nfs-2");
    expect((await vms("?search=mail_01-copy")).vms).toMatchObject([{ repositories: [{ id: "nfs-2", name: "Zürich, Keller" }] }]);
  });

  it("come in pages that hold each once while others come and go", async () => {
    const all = Array.from({ length: 23 }, (_, n) => `vm ${String(n).padStart(2, "0")}`);
    for (const name of all) await addPoint(await addVm(name, "r1"), `p-${name.slice(3)}`, "completed", "2026-02-01");
    await addVm("vm 07", "r2");
    const seen: string[] = [];
    let query = "?limit=5";
    for (let pages = 0; pages < 10; pages += 1) {
      const page = await vms(query);
      seen.push(...names(page));
      expect(page.vms.length).toBeLessThanOrEqual(5);
      await addVm(`vm 00${String(pages)}`, "r1");
      if (page.next === undefined) break;
      query = `?limit=5&cursor=${encodeURIComponent(page.next)}`;
    }
    expect(seen).toEqual(all);
    expect((await vms("?limit=23")).next).toBeDefined();
    for (const wrong of ["limit=0", "limit=1001", "search=", "cursor=%C3%BC", "cursor=!"]) {
      expect((await site.request("GET", `/api/v1/vms?${wrong}`)).body.code, wrong).toBe("invalid_request");
    }
  });

  it("cost one statement a page, and only the page's restore points are read", async () => {
    for (let n = 0; n < 40; n += 1) {
      const context = await addVm(`vm ${String(n).padStart(2, "0")}`, "r1");
      for (let point = 0; point < 25; point += 1) await addPoint(context, `p-${String(n)}-${String(point)}`, "completed", "2026-02-01");
    }
    const count = async (name: string): Promise<number> => Number((await database.query<{ Value: string }>(`SHOW GLOBAL STATUS LIKE '${name}'`))[0]?.Value);
    const [selects, reads] = [await count("Com_select"), await count("Rows_read")];
    expect(names(await vms("?limit=3"))).toEqual(["vm 00", "vm 01", "vm 02"]);
    expect((await count("Com_select")) - selects).toBe(1);
    // Four VMs of 25 points, a few times over: far from 1000.
    const read = (await count("Rows_read")) - reads;
    expect(read).toBeLessThan(500);
  });

  it.each([["Sendense 2.16", sendense216], ["a bare catalog", bareCatalog]])("are shown of an adopted catalog: %s", async (_, sql) => {
    const adopted = await mariadb.createEmpty();
    await adopted.script(sql);
    await migrateUp(adopted.url);
    site = await createSite(adopted);
    const found = await vms();
    expect(found.vms.map(({ vm_name, restore_points, repositories }) => [vm_name, restore_points, repositories.map(({ id }) => id)])).toEqual([
      ["pgtest1", 2, ["repo-local-1759780872"]],
      ["web 01 (prod)", 0, ["repo-nfs"]],
    ]);
    expect(names(await vms("?search=PGTEST"))).toEqual(["pgtest1"]);
    expect(names(await vms("?search=nfs"))).toEqual(["web 01 (prod)"]);
    expect(names(await vms(`?cursor=${Buffer.from("pgtest1").toString("base64url")}`))).toEqual(["web 01 (prod)"]);
    const { backups } = backupListSchema.parse((await site.request("GET", "/api/v1/backups?vm_name=pgtest1")).body);
    expect(new Set(backups.map(({ status }) => status))).toEqual(new Set(["completed", "running"]));
    expect(backups.flatMap(({ disks }) => disks.map(({ stored_bytes }) => stored_bytes))).toEqual([null, null, null]);
  });
});

const path = "web/disk-0/web-disk0-20260101-000000.qcow2";
const registration = { vm_name: "web", repository_id: "r1", disks: [{ disk_index: 0, qcow2_path: path }] };
const scanned = (more: Partial<ScannedFile> = {}): ScannedFile => ({
  vm_name: "web", disk_index: 0, qcow2_path: path, size_bytes: 5000, modified_at: "2026-01-01T00:00:00.000Z", chain: [path], error: null, ...more,
});
const storedBytes = async (): Promise<unknown[]> => (await site.request("GET", "/api/v1/backups")).body.backups.map((backup: { disks: { stored_bytes: unknown }[] }) => backup.disks[0]?.stored_bytes);

describe("what a restore point takes up", () => {
  it("is what the agent found, and null where it did not say", async () => {
    site.agent.files.set(path, { storedBytes: 123_456 });
    expect((await site.request("POST", "/api/v1/backups", { body: registration })).body.disks[0].stored_bytes).toBe(123_456);
    site.agent.files.set("old.qcow2", {});
    expect((await site.request("POST", "/api/v1/backups", { body: { ...registration, disks: [{ disk_index: 0, qcow2_path: "old.qcow2" }] } })).body.disks[0].stored_bytes).toBeNull();
  });

  it("is filled in and brought up to date by a scan", async () => {
    site.agent.files.set(path, {});
    await site.request("POST", "/api/v1/backups", { body: registration });
    expect(await storedBytes()).toEqual([null]);
    for (const [found, expected] of [[77, 77], [undefined, 77], [99, 99]] as const) {
      site.agent.scanned = [scanned(found === undefined ? {} : { stored_bytes: found })];
      expect((await site.request("POST", "/api/v1/repositories/r1/scan")).body).toMatchObject({ registered: [], already_known: 1 });
      expect(await storedBytes()).toEqual([expected]);
    }
    const other = "db/disk-0/db-disk0-20260101-000000.qcow2";
    site.agent.scanned.push(scanned({ vm_name: "db", qcow2_path: other, chain: [other], stored_bytes: 5 }));
    await site.request("POST", "/api/v1/repositories/r1/scan");
    expect((await storedBytes()).toSorted()).toEqual([5, 99]);
  });

  it("leaves a column of that name in somebody else's catalog alone", async () => {
    const adopted = await mariadb.createEmpty();
    await adopted.script(bareCatalog);
    await adopted.query("ALTER TABLE backup_disks ADD COLUMN stored_bytes BIGINT NULL");
    const before = await adopted.dump();
    await migrateUp(adopted.url);
    await migrateDown(adopted.url, { steps: (await readMigrations()).length });
    expect(await adopted.dump()).toBe(before);
  });
});

describe("failed restore points", () => {
  it("are listed with their status", async () => {
    const context = await addVm("web", "r1");
    await addPoint(context, "ok", "completed", "2026-02-01");
    await addPoint(context, "bad", "failed", null, "incremental", "2026-02-02");
    const { body } = await site.request("GET", "/api/v1/backups?vm_name=web");
    expect(body.backups.map((backup: { backup_id: string; status: string }) => [backup.backup_id, backup.status])).toEqual([["bad", "failed"], ["ok", "completed"]]);
  });
});

describe("one file", () => {
  it("is registered once, however its path is spelled", async () => {
    site.agent.files.set(path, {});
    const spellings = [path, path.replace("/", "//"), `./${path}`, `x/../${path}`, `web/./disk-0/../../${path}`, `${path}/`];
    const replies = [];
    for (const qcow2_path of spellings) replies.push(await site.request("POST", "/api/v1/backups", { body: { ...registration, disks: [{ disk_index: 0, qcow2_path }] } }));
    expect(replies.map(({ status }) => status)).toEqual([201, 200, 200, 200, 200, 200]);
    expect(new Set(replies.map(({ body }) => body.backup_id)).size).toBe(1);
    expect(replies.map(({ body }) => body.disks[0].qcow2_path)).toEqual(spellings.map(() => path));
    expect(site.agent.calls.filter(({ op }) => op === "check").map(({ body }) => body)).toEqual([{ qcow2_paths: [path] }]);
    site.agent.scanned = [scanned()];
    expect((await site.request("POST", "/api/v1/repositories/r1/scan")).body).toMatchObject({ registered: [], already_known: 1 });
  });

  it("is listed twice under two spellings of one path", async () => {
    site.agent.files.set(path, {});
    const twice = await site.request("POST", "/api/v1/backups", { body: { ...registration, disks: [{ disk_index: 0, qcow2_path: path }, { disk_index: 1, qcow2_path: `./${path}` }] } });
    expect([twice.status, twice.body.code]).toEqual([400, "invalid_request"]);
    for (const qcow2_path of [".", "./", "a/..", "/"]) {
      const nothing = await site.request("POST", "/api/v1/backups", { body: { ...registration, disks: [{ disk_index: 0, qcow2_path }] } });
      expect([nothing.status, nothing.body.code], qcow2_path).toEqual([400, "invalid_request"]);
    }
  });

  it("registered under another spelling by an earlier version is known to a scan", async () => {
    site.agent.files.set(path, {});
    await site.request("POST", "/api/v1/backups", { body: registration });
    await database.query("UPDATE backup_disks SET qcow2_path = ?", [`./${path}`]);
    site.agent.scanned = [scanned()];
    expect((await site.request("POST", "/api/v1/repositories/r1/scan")).body).toMatchObject({ registered: [], already_known: 1 });
  });
});

describe("an id with blanks after it", () => {
  it("is another id, although SQL pads what it compares", async () => {
    site.agent.files.set(path, {});
    const backupId = (await site.request("POST", "/api/v1/backups", { body: registration })).body.backup_id as string;
    await insertMount(database, "m1", 1);
    expect((await site.request("POST", "/api/v1/restore/mount", { body: { backup_id: backupId } })).status).toBe(200);
    for (const id of [`${backupId} `, `${backupId}   `, ` ${backupId}`, backupId.toUpperCase()]) {
      const refused = await site.request("POST", "/api/v1/restore/mount", { body: { backup_id: id } });
      expect([refused.status, refused.body.code], JSON.stringify(id)).toEqual([404, "backup_not_found"]);
      for (const [method, at] of [["GET", ""], ["GET", "/disks"], ["DELETE", ""]] as const) {
        expect((await site.request(method, `/api/v1/backups/${encodeURIComponent(id)}${at}`)).body.code, `${method} ${at}`).toBe("backup_not_found");
      }
      expect((await site.request("GET", `/api/v1/events?backup_id=${encodeURIComponent(id)}`)).body.events).toEqual([]);
    }
    expect((await site.request("GET", `/api/v1/events?backup_id=${backupId}`)).body.events).toHaveLength(1);
    expect((await site.request("GET", "/api/v1/events?type=backup_registered%20")).body.events).toEqual([]);
    for (const query of ["vm_name=web%20", "vm_name=WEB"]) expect((await site.request("GET", `/api/v1/backups?${query}`)).body.backups, query).toEqual([]);
    expect((await site.request("GET", "/api/v1/backups?vm_name=web&repository_id=r1")).body.backups).toHaveLength(1);
    for (const [method, at] of [
      ["GET", "/backups?repository_id=r1%20"], ["POST", "/repositories/r1%20/scan"], ["GET", "/restore/m1%20"], ["DELETE", "/restore/m1%20"],
      ["POST", "/restore/m1%20/extend"], ["GET", "/restore/m1%20/files?path=/"], ["DELETE", "/tokens/t%20"],
    ] as const) {
      expect((await site.request(method, `/api/v1${at}`)).body.code, at).toBe("invalid_request");
    }
  });

  it("is another id in an adopted catalog too, which compares without regard to case", async () => {
    const adopted = await mariadb.createEmpty();
    await adopted.script(sendense216);
    await migrateUp(adopted.url);
    site = await createSite(adopted);
    for (const id of ["BACKUP-pgtest1-1759947871", "backup-pgtest1-1759947871 "]) {
      const refused = await site.request("POST", "/api/v1/restore/mount", { body: { backup_id: id } });
      expect([refused.status, refused.body.code], id).toEqual([404, "backup_not_found"]);
    }
  });
});
