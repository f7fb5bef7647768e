import mysql, { type Connection } from "mysql2/promise";
import { adoptCatalog, assessCatalog, undoAdoption } from "./adopt-catalog.ts";
import { poolOptions, sqlMode } from "./connect.ts";
import { readMigrations, type Migration } from "./migration-files.ts";

/**
 * The migration runner. DDL is not transactional, so each step is marked `applying` or `reverting`
 * before it runs and every statement may run again: a step cut short is finished by the next run.
 * A lock in the database lets one runner in at a time, whichever coordinator it belongs to.
 *
 * | Column of schema_migrations | Meaning |
 * |---|---|
 * | version, name, checksum | which file, and that it has not changed since |
 * | state | applying, applied, reverting |
 * | way | "sql": its file was run; "adopted": the tables were there, and only what was missing was added |
 */
export interface MigrationStatus {
  readonly version: number;
  readonly name: string;
  readonly state: "pending" | "applying" | "applied" | "reverting";
  readonly way: "sql" | "adopted" | null;
  readonly appliedAt: Date | null;
}

export interface MigrationReport {
  /** What was done, in order: "0001_catalog up", … */
  readonly done: string[];
  /** What could not be added to an adopted catalog, and why that matters. */
  readonly warnings: string[];
}

export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

/** The step that a catalog of the backup system takes the place of. */
const catalogVersion = 1;
const lockTimeoutS = 60;

/** Brings the schema up to date. @throws MigrationError, or the driver's error when the database can't be reached */
export async function migrateUp(url: string, options: { folder?: string } = {}): Promise<MigrationReport> {
  const migrations = await readMigrations(options.folder);
  return await withLock(url, async (connection) => {
    const report: MigrationReport = { done: [], warnings: [] };
    await createLedger(connection);
    try {
      await finishReverting(connection, migrations, report);
      const ledger = await readLedger(connection);
      assertKnown(ledger, migrations);
      for (const migration of migrations) {
        if (ledger.get(migration.version)?.state === "applied") continue;
        await apply(connection, migration, ledger.get(migration.version), report);
      }
    } finally {
      // A database that was refused is left as it was.
      await dropEmptyLedger(connection).catch(() => undefined);
    }
    return report;
  });
}

/** Takes back the newest `steps` migrations (default 1). */
export async function migrateDown(url: string, options: { folder?: string; steps?: number } = {}): Promise<MigrationReport> {
  const migrations = await readMigrations(options.folder);
  return await withLock(url, async (connection) => {
    const report: MigrationReport = { done: [], warnings: [] };
    if (!(await ledgerExists(connection))) return report;
    const ledger = await readLedger(connection);
    assertKnown(ledger, migrations);
    const present = migrations.filter(({ version }) => ledger.has(version)).reverse();
    for (const migration of present.slice(0, options.steps ?? 1)) await revert(connection, migration, ledger.get(migration.version), report);
    await dropEmptyLedger(connection);
    return report;
  });
}

/** What is applied and what is not; changes nothing. */
export async function migrationStatus(url: string, options: { folder?: string } = {}): Promise<MigrationStatus[]> {
  const migrations = await readMigrations(options.folder);
  const connection = await connect(url);
  try {
    const ledger = (await ledgerExists(connection)) ? await readLedger(connection) : new Map<number, LedgerRow>();
    return migrations.map(({ version, name }) => {
      const row = ledger.get(version);
      return { version, name, state: row?.state ?? "pending", way: row?.way ?? null, appliedAt: row?.applied_at ?? null };
    });
  } finally {
    await connection.end();
  }
}

async function apply(connection: Connection, migration: Migration, begun: LedgerRow | undefined, report: MigrationReport): Promise<void> {
  const way = begun?.way ?? (await chooseWay(connection, migration));
  if (begun === undefined) {
    await connection.query("INSERT INTO schema_migrations (version, name, checksum, state, way) VALUES (?, ?, ?, 'applying', ?)", [
      migration.version, migration.name, migration.checksum, way,
    ]);
  }
  await run(`${label(migration)} up`, async () => {
    if (way === "adopted") report.warnings.push(...(await adoptCatalog(connection)));
    else await connection.query(migration.up);
  });
  await connection.query("UPDATE schema_migrations SET state = 'applied', applied_at = UTC_TIMESTAMP() WHERE version = ?", [migration.version]);
  report.done.push(`${label(migration)} up${way === "adopted" ? " (the catalog that is there was adopted)" : ""}`);
}

/** Refuses before anything is changed when a table it would create is somebody else's. */
async function chooseWay(connection: Connection, migration: Migration): Promise<"sql" | "adopted"> {
  if (migration.version === catalogVersion) {
    const assessment = await assessCatalog(connection);
    if (assessment.refusal !== undefined) throw new MigrationError(assessment.refusal);
    if (assessment.present) return "adopted";
  }
  const [rows] = await connection.query("SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()");
  const taken = (rows as { name: string }[]).map(({ name }) => name).filter((name) => migration.creates.includes(name));
  if (taken.length > 0) {
    throw new MigrationError(`${label(migration)} would create ${taken.join(", ")}, which the database has already and Pluck did not make; use a database of its own, or rename them`);
  }
  return "sql";
}

async function revert(connection: Connection, migration: Migration, row: LedgerRow | undefined, report: MigrationReport): Promise<void> {
  await connection.query("UPDATE schema_migrations SET state = 'reverting' WHERE version = ?", [migration.version]);
  await run(`${label(migration)} down`, async () => {
    if (row?.way === "adopted") await undoAdoption(connection);
    else await connection.query(migration.down);
  });
  await connection.query("DELETE FROM schema_migrations WHERE version = ?", [migration.version]);
  report.done.push(`${label(migration)} down`);
}

async function finishReverting(connection: Connection, migrations: readonly Migration[], report: MigrationReport): Promise<void> {
  const ledger = await readLedger(connection);
  for (const migration of migrations.toReversed()) {
    const row = ledger.get(migration.version);
    if (row?.state === "reverting") await revert(connection, migration, row, report);
  }
}

async function run(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MigrationError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MigrationError(`${what} failed: ${reason}. Every step may be repeated: mend the cause and run it again.`, { cause: error });
  }
}

// The ledger

interface LedgerRow {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly state: "applying" | "applied" | "reverting";
  readonly way: "sql" | "adopted";
  readonly applied_at: Date | null;
}

async function createLedger(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
    version INT NOT NULL, name VARCHAR(255) NOT NULL, checksum CHAR(64) NOT NULL, state VARCHAR(16) NOT NULL,
    way VARCHAR(16) NOT NULL, applied_at DATETIME NULL, PRIMARY KEY (version)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`);
}

async function ledgerExists(connection: Connection): Promise<boolean> {
  const [rows] = await connection.query("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'schema_migrations'");
  return (rows as unknown[]).length > 0;
}

async function readLedger(connection: Connection): Promise<Map<number, LedgerRow>> {
  const [rows] = await connection.query("SELECT version, name, checksum, state, way, applied_at FROM schema_migrations ORDER BY version");
  return new Map((rows as LedgerRow[]).map((row) => [row.version, row]));
}

async function dropEmptyLedger(connection: Connection): Promise<void> {
  if ((await readLedger(connection)).size === 0) await connection.query("DROP TABLE schema_migrations");
}

function assertKnown(ledger: ReadonlyMap<number, LedgerRow>, migrations: readonly Migration[]): void {
  for (const row of ledger.values()) {
    const known = migrations.find(({ version }) => version === row.version);
    if (known === undefined) {
      throw new MigrationError(`the database has migration ${String(row.version)}_${row.name}, which this version of Pluck does not know: it was used by a newer one`);
    }
    if (known.checksum !== row.checksum) throw new MigrationError(`${label(known)} has changed since it was applied; put the file back and write a new migration instead`);
  }
}

// The connection

async function withLock<T>(url: string, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await connect(url);
  try {
    // Names of locks are the server's, not the database's, and at most 64 characters long.
    const [rows] = await connection.query("SELECT GET_LOCK(CONCAT('pluck_migrate_', LEFT(SHA1(DATABASE()), 40)), ?) AS held", [lockTimeoutS]);
    if ((rows as { held: number | null }[])[0]?.held !== 1) throw new MigrationError(`another migration holds the lock for more than ${String(lockTimeoutS)} s`);
    return await work(connection);
  } finally {
    // Closing the connection gives the lock back.
    await connection.end().catch(() => undefined);
  }
}

async function connect(url: string): Promise<Connection> {
  const { flags, host, port, socketPath, user, password, database, ssl, timezone, charset, connectTimeout } = poolOptions(url);
  const connection = await mysql.createConnection({
    multipleStatements: true,
    ...Object.fromEntries(Object.entries({ flags, host, port, socketPath, user, password, database, ssl, timezone, charset, connectTimeout }).filter(([, value]) => value !== undefined)),
  });
  await connection.query(`SET time_zone = '+00:00', sql_mode = '${sqlMode}'`);
  return connection;
}

function label(migration: Migration): string {
  return `${String(migration.version).padStart(4, "0")}_${migration.name}`;
}
