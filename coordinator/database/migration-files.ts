import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One step of the schema: `NNNN_name.up.sql` and `NNNN_name.down.sql`. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
  /** Hex SHA-256 of the up file; a file that changed after it was applied is refused. */
  readonly checksum: string;
  /** Tables it creates that must not be there before, by its CREATE TABLE lines less its `-- replaces:` line. */
  readonly creates: readonly string[];
}

export const migrationsFolder = fileURLToPath(new URL("../../migrations", import.meta.url));

/** @throws Error when a pair is incomplete or a number is taken twice */
export async function readMigrations(folder: string = migrationsFolder): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".up.sql")).sort();
  const migrations: Migration[] = [];
  for (const file of files) {
    const match = /^(\d{4})_([a-z0-9_]+)\.up\.sql$/.exec(file);
    if (match === null) throw new Error(`${file} is not named NNNN_name.up.sql`);
    const version = Number(match[1]);
    if (migrations.at(-1)?.version === version) throw new Error(`two migrations have the number ${String(version)}`);
    const up = await readFile(join(folder, file), "utf8");
    const down = await readFile(join(folder, file.replace(/\.up\.sql$/, ".down.sql")), "utf8");
    migrations.push({ version, name: match[2] ?? "", up, down, checksum: createHash("sha256").update(up).digest("hex"), creates: createdTables(up) });
  }
  return migrations;
}

function createdTables(sql: string): string[] {
  const replaced = new Set((/^-- replaces: (.+)$/m.exec(sql)?.[1] ?? "").split(/,\s*/));
  return [...sql.matchAll(/^CREATE TABLE IF NOT EXISTS (\w+)/gm)].map((match) => match[1] ?? "").filter((table) => !replaced.has(table));
}
