import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import mysql from "mysql2/promise";
import { connectDatabase, type DatabaseConnection } from "../../coordinator/database/connect.ts";
import { migrateUp } from "../../coordinator/database/migrate.ts";
import { startPrivateMariadb, type PrivateMariadb } from "../../coordinator/database/private-mariadb.ts";
import { requireTools, temporaryFolder } from "./environment.ts";

/** A MariaDB for one test file, in memory; databases inside it cost milliseconds. */
export interface TestMariadb {
  readonly server: PrivateMariadb;
  /** A new, empty database. */
  createEmpty(): Promise<TestDatabase>;
  /** A new database with all migrations up. */
  create(): Promise<TestDatabase>;
  stop(): Promise<void>;
}

export interface TestDatabase extends DatabaseConnection {
  readonly name: string;
  readonly url: string;
  /** Several statements, as a file of them. */
  script(sql: string): Promise<void>;
  /** Schema and rows as the server's own tool writes them. */
  dump(...options: string[]): Promise<string>;
  /** Runs a statement as it is. */
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
}

let counter = 0;

export async function startTestMariadb(): Promise<TestMariadb> {
  requireTools("mariadbd", "mariadb-install-db", "mariadb-dump");
  const folder = await temporaryFolder();
  const server = await startPrivateMariadb(join(folder, "db"), { fast: true });
  const opened: DatabaseConnection[] = [];
  const createEmpty = async (): Promise<TestDatabase> => {
    counter += 1;
    const name = `test_${String(counter)}`;
    const admin = connectDatabase(server.url, { connectionLimit: 1 });
    await admin.pool.promise().query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
    await admin.close();
    const url = server.url.replace("/pluck?", `/${name}?`);
    const connection = connectDatabase(url);
    opened.push(connection);
    return {
      ...connection,
      name,
      url,
      script: async (sql) => {
        const one = await mysql.createConnection({ socketPath: server.socketPath, user: "root", database: name, multipleStatements: true, timezone: "Z" });
        await one.query(sql);
        await one.end();
      },
      dump: async (...options) => {
        const { stdout } = await execa("mariadb-dump", ["--no-defaults", `--socket=${server.socketPath}`, "--user=root", "--skip-comments", "--skip-dump-date", ...options, name]);
        // The counter of a key moves on with rows that came and went; it is no part of the schema.
        return stdout.replace(/ AUTO_INCREMENT=\d+/g, "");
      },
      query: async <Row>(sql: string, values: unknown[] = []) => (await connection.pool.promise().query(sql, values))[0] as Row[],
    };
  };
  return {
    server,
    createEmpty,
    create: async () => {
      const database = await createEmpty();
      await migrateUp(database.url);
      return database;
    },
    stop: async () => {
      for (const connection of opened) await connection.close().catch(() => undefined);
      await server.stop({ graceMs: 0 });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
