import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrateDown, migrateUp, migrationStatus } from "../../coordinator/database/migrate.ts";
import { migrationsFolder, readMigrations } from "../../coordinator/database/migration-files.ts";
import { startTestMariadb, type TestDatabase, type TestMariadb } from "../tools/mariadb.ts";

let mariadb: TestMariadb;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => {
  await mariadb?.stop();
});

describe("migrations", () => {
  it("leave the schema as it was when each up is followed by its down", async () => {
    const database = await mariadb.createEmpty();
    const count = (await readMigrations()).length;
    const folder = await mkdtemp(join(tmpdir(), "pluck-migrations-"));
    try {
      let before = await database.dump("--no-data", "--ignore-table=x.schema_migrations");
      for (const { version, name } of await readMigrations()) {
        const prefix = `${String(version).padStart(4, "0")}_${name}`;
        for (const way of ["up", "down"]) await cp(join(migrationsFolder, `${prefix}.${way}.sql`), join(folder, `${prefix}.${way}.sql`));
        await migrateUp(database.url, { folder });
        const after = await schemaWithoutLedger(database);
        await migrateDown(database.url, { folder });
        expect(await schemaWithoutLedger(database), prefix).toBe(before);
        await migrateUp(database.url, { folder });
        expect(await schemaWithoutLedger(database), prefix).toBe(after);
        before = after;
      }
      await migrateDown(database.url, { folder, steps: count });
      expect(await database.query("SHOW TABLES")).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("are applied once when several coordinators start at the same time", async () => {
    const database = await mariadb.createEmpty();
    const reports = await Promise.all(Array.from({ length: 6 }, async () => await migrateUp(database.url)));
    const counts = reports.map((report) => report.done.length).sort((a, b) => a - b);
    expect(counts).toEqual([0, 0, 0, 0, 0, (await readMigrations()).length]);
  });

  it("finish a step that was cut short, up or down", async () => {
    const database = await mariadb.create();
    const whole = await database.dump("--no-data");
    // As a runner killed in the middle of 0004 leaves it.
    await database.query("DROP TABLE restore_events");
    await database.query("UPDATE schema_migrations SET state = 'applying', applied_at = NULL WHERE version = 4");
    expect((await migrateUp(database.url)).done).toEqual(["0004_access up"]);
    expect(await database.dump("--no-data")).toBe(whole);
    await database.query("DROP TABLE signing_keys");
    await database.query("UPDATE schema_migrations SET state = 'reverting' WHERE version = 4");
    expect((await migrateUp(database.url)).done).toEqual(["0004_access down", "0004_access up"]);
    expect(await database.dump("--no-data")).toBe(whole);
  });

  it("refuse a file that changed after it was applied, and a version from the future", async () => {
    const database = await mariadb.create();
    await database.query("UPDATE schema_migrations SET checksum = REPEAT('0', 64) WHERE version = 2");
    await expect(migrateUp(database.url)).rejects.toThrow(/0002_sites has changed since it was applied/);
    const newer = await mariadb.create();
    await newer.query("INSERT INTO schema_migrations VALUES (9000, 'later', REPEAT('0', 64), 'applied', 'sql', NULL)");
    await expect(migrateUp(newer.url)).rejects.toThrow(/9000_later/);
    await expect(migrateDown(newer.url)).rejects.toThrow(/9000_later/);
  });

  it("refuse to touch a database where somebody else's table has a name of ours", async () => {
    const database = await mariadb.createEmpty();
    await database.query("CREATE TABLE agents (id INT PRIMARY KEY)");
    await expect(migrateUp(database.url)).rejects.toThrow(/would create agents/);
    expect((await database.query<{ c: string }>("SELECT COLUMN_NAME AS c FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'agents'")).map(({ c }) => c)).toEqual(["id"]);
  });

  it("say what is applied without changing anything", async () => {
    const database = await mariadb.createEmpty();
    expect((await migrationStatus(database.url)).every(({ state }) => state === "pending")).toBe(true);
    expect(await database.query("SHOW TABLES")).toEqual([]);
    await migrateUp(database.url);
    expect((await migrationStatus(database.url)).every(({ state, way }) => state === "applied" && way === "sql")).toBe(true);
  });

  it("name the file and the reason when a statement fails", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pluck-migrations-"));
    try {
      await writeFile(join(folder, "0007_wrong.up.sql"), "CREATE TABLE IF NOT EXISTS right_one (id INT);\nALTER TABLE nowhere ADD COLUMN x INT;\n");
      await writeFile(join(folder, "0007_wrong.down.sql"), "DROP TABLE IF EXISTS right_one;\n");
      const database = await mariadb.createEmpty();
      await expect(migrateUp(database.url, { folder })).rejects.toThrow(/0007_wrong up failed: .*nowhere/);
      expect((await migrationStatus(database.url, { folder }))[0]?.state).toBe("applying");
      await writeFile(join(folder, "0007_wrong.up.sql"), "CREATE TABLE IF NOT EXISTS right_one (id INT);\n");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("keep to what MariaDB and MySQL both understand", async () => {
    for (const { name, up, down } of await readMigrations()) {
      const sql = `${up}\n${down}`.replace(/--.*$/gm, "");
      expect(sql, name).not.toMatch(/\b(RETURNING|UUID_SHORT|INET6|SEQUENCE|LATERAL|uca1400|0900_ai_ci|ADD COLUMN IF|DROP COLUMN IF|DROP INDEX IF|->>)/i);
    }
    expect(await readFile(join(migrationsFolder, "0003_restore_mounts.up.sql"), "utf8")).toMatch(/backup_disk_id BIGINT NOT NULL/);
  });
});

async function schemaWithoutLedger(database: TestDatabase): Promise<string> {
  return await database.dump("--no-data", `--ignore-table=${database.name}.schema_migrations`);
}
