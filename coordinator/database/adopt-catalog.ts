import type { Connection } from "mysql2/promise";

/**
 * Adopts a catalog that a backup system (Sendense 2.16 or later) keeps in this database: its tables and
 * rows stay as they are, and only what Pluck needs and does not find is added. What was added is noted
 * in catalog_adoption before it is done, so that going down takes away that and nothing else, also
 * after a crash in between.
 */
export interface CatalogAssessment {
  /** All three tables of a catalog are there. */
  readonly present: boolean;
  /** Why the catalog that is there can't be adopted. */
  readonly refusal?: string;
}

const catalogTables = ["vm_backup_contexts", "backup_jobs", "backup_disks"] as const;

/** Columns that a catalog must have: without them there is nothing to look a disk up by. */
const neededColumns: Record<string, readonly string[]> = {
  vm_backup_contexts: ["context_id", "vm_name", "repository_id"],
  backup_jobs: ["id", "vm_backup_context_id", "vm_name", "backup_type", "status"],
  backup_disks: ["id", "vm_backup_context_id", "backup_job_id", "disk_index", "qcow2_path", "status"],
};

/** Columns that Pluck reads and writes and an older catalog may lack. All may stay unset in the rows that are there. */
const addedColumns: readonly { table: string; column: string; definition: string }[] = [
  { table: "vm_backup_contexts", column: "total_backups_run", definition: "INT NULL DEFAULT 0" },
  { table: "vm_backup_contexts", column: "successful_backups", definition: "INT NULL DEFAULT 0" },
  { table: "vm_backup_contexts", column: "failed_backups", definition: "INT NULL DEFAULT 0" },
  { table: "vm_backup_contexts", column: "last_backup_id", definition: "VARCHAR(64) NULL" },
  { table: "vm_backup_contexts", column: "last_backup_type", definition: "VARCHAR(16) NULL" },
  { table: "vm_backup_contexts", column: "last_backup_at", definition: "DATETIME(3) NULL" },
  { table: "vm_backup_contexts", column: "created_at", definition: "DATETIME(3) NULL" },
  { table: "vm_backup_contexts", column: "updated_at", definition: "DATETIME(3) NULL" },
  { table: "backup_jobs", column: "created_at", definition: "DATETIME(3) NULL" },
  { table: "backup_jobs", column: "completed_at", definition: "DATETIME(3) NULL" },
  { table: "backup_disks", column: "vmware_disk_key", definition: "INT NULL" },
  { table: "backup_disks", column: "size_gb", definition: "BIGINT NOT NULL DEFAULT 0" },
  { table: "backup_disks", column: "size_bytes", definition: "BIGINT NULL" },
  { table: "backup_disks", column: "disk_change_id", definition: "VARCHAR(255) NULL" },
  { table: "backup_disks", column: "error_message", definition: "TEXT NULL" },
  { table: "backup_disks", column: "created_at", definition: "DATETIME(3) NULL" },
  { table: "backup_disks", column: "completed_at", definition: "DATETIME(3) NULL" },
  { table: "backup_chains", column: "total_backups", definition: "INT NULL DEFAULT 0" },
];

const addedUniqueKeys: readonly { table: string; name: string; columns: readonly string[]; without: string }[] = [
  { table: "backup_disks", name: "uk_pluck_disks_job_index", columns: ["backup_job_id", "disk_index"], without: "where a backup has a disk twice, either row may be opened: keep one" },
];

/** References whose deletions must cascade down to the mounts. One that is there already, whatever its rule, stays. */
const addedReferences: readonly { table: string; name: string; column: string; parent: string; key: string }[] = [
  { table: "backup_jobs", name: "fk_pluck_jobs_context", column: "vm_backup_context_id", parent: "vm_backup_contexts", key: "context_id" },
  { table: "backup_disks", name: "fk_pluck_disks_context", column: "vm_backup_context_id", parent: "vm_backup_contexts", key: "context_id" },
  { table: "backup_disks", name: "fk_pluck_disks_job", column: "backup_job_id", parent: "backup_jobs", key: "id" },
];

export async function assessCatalog(connection: Connection): Promise<CatalogAssessment> {
  const tables = await tablesOf(connection);
  const there = catalogTables.filter((table) => tables.has(table));
  if (there.length === 0) return { present: false };
  if (tables.has("catalog_adoption")) return { present: true };
  if (there.length < catalogTables.length) {
    const missing = catalogTables.filter((table) => !tables.has(table));
    return { present: false, refusal: `the database has ${there.join(", ")} but no ${missing.join(", ")}: a catalog from before Sendense 2.16 can't be adopted; bring it to 2.16 first` };
  }
  for (const [table, needed] of Object.entries(neededColumns)) {
    const columns = await columnsOf(connection, table);
    const missing = needed.filter((column) => !columns.has(column));
    if (missing.length > 0) return { present: false, refusal: `the table ${table} has no column ${missing.join(", ")}: this is not a catalog of Sendense 2.16 or later` };
  }
  const idType = (await columnsOf(connection, "backup_disks")).get("id")?.type ?? "";
  if (!/^(int|bigint)\b/i.test(idType)) return { present: false, refusal: `backup_disks.id is ${idType}, not an INT or BIGINT: this is not a catalog of Sendense 2.16 or later` };
  return { present: true };
}

/** Adds what is missing; may be run again. @returns what could not be added, in words */
export async function adoptCatalog(connection: Connection): Promise<string[]> {
  await connection.query(`CREATE TABLE IF NOT EXISTS catalog_adoption (
    seq INT NOT NULL AUTO_INCREMENT, kind VARCHAR(16) NOT NULL, table_name VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, PRIMARY KEY (seq)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`);
  await addChains(connection);
  await addColumns(connection);
  return [...(await addUniqueKeys(connection)), ...(await addReferences(connection))];
}

/** Takes away what adoption added, newest first, and nothing else. */
export async function undoAdoption(connection: Connection): Promise<void> {
  if (!(await tablesOf(connection)).has("catalog_adoption")) return;
  const [rows] = await connection.query("SELECT kind, table_name, name FROM catalog_adoption ORDER BY seq DESC");
  for (const { kind, table_name: table, name } of rows as { kind: string; table_name: string; name: string }[]) {
    if (kind === "table") await connection.query("DROP TABLE IF EXISTS ??", [name]);
    if (kind === "column" && (await columnsOf(connection, table)).has(name)) await connection.query("ALTER TABLE ?? DROP COLUMN ??", [table, name]);
    if (kind === "index" && (await indexesOf(connection, table)).has(name)) await connection.query("ALTER TABLE ?? DROP INDEX ??", [table, name]);
    if (kind === "reference" && (await hasConstraint(connection, table, name))) await connection.query("ALTER TABLE ?? DROP FOREIGN KEY ??", [table, name]);
  }
  await connection.query("DROP TABLE catalog_adoption");
}

/** The chains' table in the form of migration 0001, its key typed as the contexts' key is. */
async function addChains(connection: Connection): Promise<void> {
  if ((await tablesOf(connection)).has("backup_chains")) return;
  const key = (await columnsOf(connection, "vm_backup_contexts")).get("context_id");
  const collation = key?.collation ?? "utf8mb4_bin";
  await note(connection, "table", "backup_chains", "backup_chains");
  await connection.query(`CREATE TABLE backup_chains (
    id VARCHAR(64) NOT NULL, vm_context_id ${key?.type ?? "VARCHAR(64)"} NOT NULL, disk_id INT NOT NULL,
    full_backup_id VARCHAR(64) NOT NULL, latest_backup_id VARCHAR(64) NOT NULL, total_backups INT NOT NULL DEFAULT 0,
    PRIMARY KEY (id), UNIQUE KEY uk_pluck_chains_disk (vm_context_id, disk_id),
    CONSTRAINT fk_pluck_chains_context FOREIGN KEY (vm_context_id) REFERENCES vm_backup_contexts (context_id) ON DELETE CASCADE
  ) ENGINE=InnoDB DEFAULT CHARSET=${collation.split("_")[0] ?? "utf8mb4"} COLLATE=${collation}`);
}

async function addColumns(connection: Connection): Promise<void> {
  for (const { table, column, definition } of addedColumns) {
    if ((await columnsOf(connection, table)).has(column)) continue;
    await note(connection, "column", table, column);
    await connection.query(`ALTER TABLE ?? ADD COLUMN ?? ${definition}`, [table, column]);
  }
}

async function addUniqueKeys(connection: Connection): Promise<string[]> {
  const warnings: string[] = [];
  for (const { table, name, columns, without } of addedUniqueKeys) {
    const indexes = await indexesOf(connection, table);
    const same = [...indexes.values()].some((index) => index.unique && index.columns.length === columns.length && columns.every((column) => index.columns.includes(column)));
    if (same) continue;
    await note(connection, "index", table, name);
    const failure = await attempt(async () => {
      await connection.query("ALTER TABLE ?? ADD UNIQUE KEY ?? (??)", [table, name, [...columns]]);
    });
    if (failure !== undefined) warnings.push(`${table} (${columns.join(", ")}) could not be made unique: ${failure}; ${without}`);
  }
  return warnings;
}

/** The index that a reference needs is made by name first: dropping the reference would leave one that the server made. */
async function addReferences(connection: Connection): Promise<string[]> {
  const warnings: string[] = [];
  for (const { table, name, column, parent, key } of addedReferences) {
    if (await hasReference(connection, table, column, parent)) continue;
    const indexName = `ix_${name}`;
    const indexes = await indexesOf(connection, table);
    if (![...indexes.values()].some((index) => index.columns[0] === column)) {
      await note(connection, "index", table, indexName);
      await connection.query("ALTER TABLE ?? ADD INDEX ?? (??)", [table, indexName, column]);
    }
    await note(connection, "reference", table, name);
    const failure = await attempt(async () => {
      await connection.query("ALTER TABLE ?? ADD CONSTRAINT ?? FOREIGN KEY (??) REFERENCES ?? (??) ON DELETE CASCADE", [table, name, column, parent, key]);
    });
    if (failure !== undefined) {
      warnings.push(`${table}.${column} could not be made to follow ${parent}: ${failure}; a row deleted there by SQL leaves its ${table} behind`);
    }
  }
  return warnings;
}

/** The rows that are there may break a rule: that is their owner's to mend. Any other failure is ours. */
async function attempt(work: () => Promise<void>): Promise<string | undefined> {
  const byTheirRows = new Set(["ER_DUP_ENTRY", "ER_NO_REFERENCED_ROW_2", "ER_NO_REFERENCED_ROW", "ER_CANT_CREATE_TABLE", "ER_CANNOT_ADD_FOREIGN", "ER_FK_INCOMPATIBLE_COLUMNS", "ER_FK_COLUMN_CANNOT_CHANGE"]);
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof Error && byTheirRows.has(String(Reflect.get(error, "code")))) return error.message;
    throw error;
  }
}

async function note(connection: Connection, kind: "table" | "column" | "index" | "reference", table: string, name: string): Promise<void> {
  const [rows] = await connection.query("SELECT 1 FROM catalog_adoption WHERE kind = ? AND table_name = ? AND name = ?", [kind, table, name]);
  if ((rows as unknown[]).length > 0) return;
  await connection.query("INSERT INTO catalog_adoption (kind, table_name, name) VALUES (?, ?, ?)", [kind, table, name]);
}

// What is there, by information_schema. Names are given explicitly: MySQL 8 answers in upper case, MariaDB as asked.

async function tablesOf(connection: Connection): Promise<Set<string>> {
  const [rows] = await connection.query("SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()");
  return new Set((rows as { name: string }[]).map(({ name }) => name));
}

async function columnsOf(connection: Connection, table: string): Promise<Map<string, { type: string; collation: string | null }>> {
  const [rows] = await connection.query(
    "SELECT COLUMN_NAME AS name, COLUMN_TYPE AS type, COLLATION_NAME AS collation_name FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
    [table],
  );
  return new Map((rows as { name: string; type: string; collation_name: string | null }[]).map((row) => [row.name, { type: row.type, collation: row.collation_name }]));
}

async function indexesOf(connection: Connection, table: string): Promise<Map<string, { unique: boolean; columns: string[] }>> {
  const [rows] = await connection.query(
    `SELECT INDEX_NAME AS name, NON_UNIQUE AS non_unique, COLUMN_NAME AS column_name FROM information_schema.STATISTICS
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX`,
    [table],
  );
  const indexes = new Map<string, { unique: boolean; columns: string[] }>();
  for (const row of rows as { name: string; non_unique: number; column_name: string }[]) {
    const index = indexes.get(row.name) ?? { unique: Number(row.non_unique) === 0, columns: [] };
    index.columns.push(row.column_name);
    indexes.set(row.name, index);
  }
  return indexes;
}

async function hasReference(connection: Connection, table: string, column: string, parent: string): Promise<boolean> {
  const [rows] = await connection.query(
    `SELECT 1 FROM information_schema.KEY_COLUMN_USAGE
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND COLUMN_NAME = ? AND REFERENCED_TABLE_NAME = ?`,
    [table, column, parent],
  );
  return (rows as unknown[]).length > 0;
}

async function hasConstraint(connection: Connection, table: string, name: string): Promise<boolean> {
  const [rows] = await connection.query(
    "SELECT 1 FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND CONSTRAINT_NAME = ?",
    [table, name],
  );
  return (rows as unknown[]).length > 0;
}
