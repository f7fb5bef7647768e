import { sql } from "drizzle-orm";
import type { Queries } from "../../database/connect.ts";

/**
 * Inserts into a table of the catalog, which may be an adopted one with columns of its own: values for
 * columns that it lacks are left out, and columns of its own that must have a value get an empty one.
 */
export async function insertRow(db: Queries, table: string, values: Readonly<Record<string, string | number | Date | null>>): Promise<void> {
  const columns = await columnsOf(db, table);
  const row = new Map<string, string | number | null>();
  for (const { name, type, isGenerated, mustBeGiven } of columns) {
    const value = values[name];
    if (isGenerated) continue;
    if (value !== undefined) row.set(name, value instanceof Date ? toDatetime(value) : value);
    else if (mustBeGiven) row.set(name, emptyValue(type));
  }
  const names = sql.join([...row.keys()].map((name) => sql.identifier(name)), sql`, `);
  const given = sql.join([...row.values()].map((value) => sql`${value}`), sql`, `);
  await db.execute(sql`INSERT INTO ${sql.identifier(table)} (${names}) VALUES (${given})`);
}

interface Column {
  readonly name: string;
  readonly type: string;
  /** The server fills it: AUTO_INCREMENT or computed. */
  readonly isGenerated: boolean;
  /** NOT NULL without a default. */
  readonly mustBeGiven: boolean;
}

async function columnsOf(db: Queries, table: string): Promise<Column[]> {
  const [rows] = await db.execute(sql`SELECT COLUMN_NAME AS name, DATA_TYPE AS type, IS_NULLABLE AS nullable, COLUMN_DEFAULT AS default_value, EXTRA AS extra
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ${table} ORDER BY ORDINAL_POSITION`);
  return (rows as unknown as { name: string; type: string; nullable: string; default_value: string | null; extra: string }[]).map((row) => ({
    name: row.name,
    type: row.type.toLowerCase(),
    isGenerated: /auto_increment|VIRTUAL|STORED|PERSISTENT/i.test(row.extra),
    mustBeGiven: row.nullable === "NO" && row.default_value === null && !/DEFAULT_GENERATED/i.test(row.extra),
  }));
}

function emptyValue(type: string): string | number {
  if (/int|decimal|float|double|bit|year/.test(type)) return 0;
  if (type === "json") return "{}";
  if (/date|time/.test(type)) return toDatetime(new Date());
  return "";
}

/** A moment as a DATETIME(3) literal; the session's time zone is UTC. */
export function toDatetime(moment: Date): string {
  return moment.toISOString().slice(0, 23).replace("T", " ");
}
