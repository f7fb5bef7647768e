import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrateDown, migrateUp, migrationStatus } from "../../coordinator/database/migrate.ts";
import { readMigrations } from "../../coordinator/database/migration-files.ts";
import { startTestMariadb, type TestDatabase, type TestMariadb } from "../tools/mariadb.ts";
import { bareCatalog, sendense216 } from "./old-catalogs.ts";

let mariadb: TestMariadb;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => {
  await mariadb?.stop();
});

const mountColumns = "(id, backup_disk_id, agent_id, nbd_device, status, state_changed_at, created_at, updated_at, last_accessed_at, expires_at)";
async function insertMount(database: TestDatabase, id: string, diskId: number, slot: string | null): Promise<void> {
  await database.query(`INSERT INTO restore_mounts ${mountColumns} VALUES (?, ?, 'a1', ?, 'mounted', NOW(3), NOW(3), NOW(3), NOW(3), NOW(3))`, [id, diskId, slot]);
}

async function insertAgent(database: TestDatabase): Promise<void> {
  await database.query("INSERT INTO agents (id, name, repository_id, broker_password_sha256) VALUES ('a1', 'a1', 'repo-nfs', '')");
}

describe.each([
  { layout: "Sendense 2.16", sql: sendense216, idType: "bigint(20)" },
  { layout: "a bare catalog without keys", sql: bareCatalog, idType: "int(10) unsigned" },
])("adopting $layout", ({ sql, idType }) => {
  it("keeps every row, and going down leaves schema and rows as they were", async () => {
    const database = await mariadb.createEmpty();
    await database.script(sql);
    const before = await database.dump();
    const report = await migrateUp(database.url);
    expect(report.done[0]).toMatch(/0001_catalog up \(the catalog that is there was adopted\)/);
    expect((await migrationStatus(database.url))[0]?.way).toBe("adopted");
    expect(await database.query("SELECT id, disk_index, vmware_disk_key, size_gb, qcow2_path, status, size_bytes FROM backup_disks WHERE backup_job_id = 'backup-pgtest1-1759947871' ORDER BY disk_index")).toEqual([
      { id: 1, disk_index: 0, vmware_disk_key: 2000, size_gb: 102, qcow2_path: "/backup/ctx/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2", status: "completed", size_bytes: null },
      { id: 2, disk_index: 1, vmware_disk_key: 2001, size_gb: 5, qcow2_path: "/backup/ctx/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2", status: "completed", size_bytes: null },
    ]);
    await migrateDown(database.url, { steps: (await readMigrations()).length });
    expect(await database.dump()).toBe(before);
    // And it may come again.
    await migrateUp(database.url);
    await migrateDown(database.url, { steps: (await readMigrations()).length });
    expect(await database.dump()).toBe(before);
  });

  it("makes repositories of the ids that the backups name", async () => {
    const database = await mariadb.createEmpty();
    await database.script(sql);
    await migrateUp(database.url);
    expect(await database.query("SELECT id FROM repositories ORDER BY id")).toEqual([{ id: "repo-local-1759780872" }, { id: "repo-nfs" }]);
  });

  it("hangs mounts on the disk, by the type its id has, one a disk, and sets the older table aside", async () => {
    const database = await mariadb.createEmpty();
    await database.script(sql);
    await migrateUp(database.url);
    expect(await database.query("SELECT COLUMN_TYPE AS type, IS_NULLABLE AS nullable FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'restore_mounts' AND COLUMN_NAME = 'backup_disk_id'")).toEqual([
      { type: idType, nullable: "NO" },
    ]);
    expect(await database.query("SELECT id FROM restore_mounts")).toEqual([]);
    expect(await database.query("SELECT id FROM restore_mounts_before_pluck")).toEqual([{ id: "old-mount" }]);
    await insertAgent(database);
    await insertMount(database, "m1", 1, "nbd0");
    await expect(insertMount(database, "m2", 1, "nbd1")).rejects.toThrow(/Duplicate/);
    await expect(insertMount(database, "m3", 2, "nbd0")).rejects.toThrow(/Duplicate/);
  });

  it("cascades from a context, a job and a disk down to the mounts", async () => {
    for (const statement of [
      "DELETE FROM vm_backup_contexts WHERE context_id = 'ctx-backup-pgtest1-20251006-203401'",
      "DELETE FROM backup_jobs WHERE id = 'backup-pgtest1-1759947871'",
      "DELETE FROM backup_disks WHERE id IN (1, 2)",
    ]) {
      const database = await mariadb.createEmpty();
      await database.script(sql);
      expect((await migrateUp(database.url)).warnings).toEqual([]);
      await insertAgent(database);
      await insertMount(database, "m1", 1, "nbd0");
      await insertMount(database, "m2", 2, null);
      await database.query(statement);
      expect(await database.query("SELECT id FROM restore_mounts"), statement).toEqual([]);
    }
  });

  it("is finished by the next run when it was cut short", async () => {
    const database = await mariadb.createEmpty();
    await database.script(sql);
    const before = await database.dump();
    await migrateUp(database.url);
    const whole = await database.dump("--no-data");
    await migrateDown(database.url, { steps: (await readMigrations()).length - 1 });
    // As a runner killed after it noted what it would add, before it added it.
    const [newest] = await database.query<{ name: string }>("SELECT name FROM catalog_adoption WHERE kind = 'column' AND table_name = 'backup_disks' ORDER BY seq DESC LIMIT 1");
    await database.query("ALTER TABLE backup_disks DROP COLUMN ??", [newest?.name]);
    await database.query("UPDATE schema_migrations SET state = 'applying' WHERE version = 1");
    await migrateUp(database.url);
    expect(await database.dump("--no-data")).toBe(whole);
    await database.query("UPDATE schema_migrations SET state = 'reverting' WHERE version = 4");
    await migrateDown(database.url, { steps: (await readMigrations()).length });
    expect(await database.dump()).toBe(before);
  });
});

describe("a catalog with rows that break the rules", () => {
  it("is adopted without the rule, with a warning in words", async () => {
    const database = await mariadb.createEmpty();
    await database.script(bareCatalog);
    await database.query("INSERT INTO backup_disks (vm_backup_context_id, backup_job_id, disk_index, status) VALUES ('ctx-gone', 'job-gone', 0, 'completed'), ('ctx-gone', 'job-gone', 0, 'completed')");
    const before = await database.dump();
    const { warnings } = await migrateUp(database.url);
    expect(warnings).toHaveLength(3);
    expect(warnings.join("\n")).toMatch(/backup_disks \(backup_job_id, disk_index\) could not be made unique[\s\S]*could not be made to follow vm_backup_contexts[\s\S]*could not be made to follow backup_jobs/);
    await migrateDown(database.url, { steps: (await readMigrations()).length });
    expect(await database.dump()).toBe(before);
  });
});

describe("a database that is no catalog of 2.16", () => {
  it("is refused untouched when the disks' table is missing", async () => {
    const database = await mariadb.createEmpty();
    await database.script("CREATE TABLE backup_jobs (id VARCHAR(64) PRIMARY KEY, repository_path VARCHAR(512), disk_id INT)");
    await expect(migrateUp(database.url)).rejects.toThrow(/no vm_backup_contexts, backup_disks: a catalog from before Sendense 2.16/);
  });

  it("is refused untouched when a disk's id is no number", async () => {
    const database = await mariadb.createEmpty();
    await database.script(bareCatalog.replace("id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY", "id VARCHAR(64) PRIMARY KEY").replace(/INSERT INTO backup_disks[\s\S]*/, ""));
    const before = await database.dump();
    await expect(migrateUp(database.url)).rejects.toThrow(/backup_disks.id is varchar\(64\)/);
    expect(await database.dump()).toBe(before);
  });

  it("is refused untouched when a needed column is missing", async () => {
    const database = await mariadb.createEmpty();
    await database.script(bareCatalog.replace("qcow2_path TEXT,", "").replace(/INSERT INTO backup_disks[^;]*;/, "").replace(/INSERT INTO restore_mounts[^;]*;/, ""));
    await expect(migrateUp(database.url)).rejects.toThrow(/backup_disks has no column qcow2_path/);
  });
});
