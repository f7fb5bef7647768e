import { drizzle, type MySql2Database } from "drizzle-orm/mysql2";
import mysql, { type Pool, type PoolOptions } from "mysql2";
import { boundPool } from "./bounded-pool.ts";
import * as schema from "./schema.ts";

export type Database = MySql2Database<typeof schema>;
/** What a query runs on: the database itself or a transaction. */
export type Queries = Pick<Database, "select" | "selectDistinct" | "insert" | "update" | "delete" | "execute">;

export interface DatabaseConnection {
  readonly db: Database;
  readonly pool: Pool;
  close(): Promise<void>;
}

/** The same rules on MariaDB and MySQL, whatever the server's own settings. */
export const sqlMode = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
/** A statement that waits for another's lock is ended by the server, and tried again, before it counts as hanging. */
const lockWaitS = 10;
const sessionStatement = `SET time_zone = '+00:00', sql_mode = '${sqlMode}', innodb_lock_wait_timeout = ${String(lockWaitS)}`;

export const defaultQueryTimeoutS = 20;

export interface ConnectOptions {
  readonly connectionLimit?: number;
  /** How long a connection, and then each statement, is waited for. */
  readonly queryTimeoutMs?: number;
  /** Told of each connection that is given up for that. */
  readonly onTimeout?: () => void;
}

/** @param url mysql://user:password@host:port/database, with ?socketPath=/… for a unix socket */
export function connectDatabase(url: string, options: ConnectOptions = {}): DatabaseConnection {
  const pool = mysql.createPool({
    ...poolOptions(url),
    connectionLimit: options.connectionLimit ?? 20,
    maxIdle: 4,
    idleTimeout: 30_000,
    // A request waits a while for a connection under load, but not for ever.
    queueLimit: 10_000,
  });
  boundPool(pool, options.queryTimeoutMs ?? defaultQueryTimeoutS * 1000, options.onTimeout ?? (() => undefined));
  // Runs before the connection's first query.
  pool.on("connection", (connection) => {
    connection.query(sessionStatement, (error) => {
      // With another time zone every time would be wrong: rather no connection than that one.
      if (error !== null) connection.destroy();
    });
    connection.on("error", () => undefined);
  });
  return {
    db: drizzle(pool, { schema, mode: "planetscale" }),
    pool,
    close: async () => await pool.promise().end(),
  };
}

/** The driver's options of a URL. affectedRows counts the rows matched, which is what compare-and-set needs. */
export function poolOptions(url: string): PoolOptions {
  const parsed = new URL(url);
  const socketPath = parsed.searchParams.get("socketPath");
  const tls = parsed.searchParams.get("ssl") ?? parsed.searchParams.get("tls");
  return {
    ...(socketPath === null ? { host: parsed.hostname.replace(/^\[|\]$/g, ""), port: parsed.port === "" ? 3306 : Number(parsed.port) } : { socketPath }),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.replace(/^\//, "")),
    ...(tls === null || tls === "false" || tls === "0" ? {} : { ssl: { rejectUnauthorized: tls !== "insecure" } }),
    flags: ["+FOUND_ROWS"],
    timezone: "Z",
    charset: "utf8mb4_bin",
    supportBigNumbers: true,
    connectTimeout: 5000,
    enableKeepAlive: true,
  };
}

/** The driver's error code (ER_DUP_ENTRY, ECONNREFUSED …) under whatever wraps it. */
export function databaseErrorCode(error: unknown): string | undefined {
  for (let current: unknown = error, depth = 0; current instanceof Error && depth < 8; current = current.cause, depth += 1) {
    const code: unknown = Reflect.get(current, "code");
    if (typeof code === "string") return code;
  }
  return undefined;
}

export function isDuplicateKey(error: unknown): boolean {
  return databaseErrorCode(error) === "ER_DUP_ENTRY";
}

const unreachable = new Set([
  "ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN",
  "PROTOCOL_CONNECTION_LOST", "PROTOCOL_SEQUENCE_TIMEOUT", "POOL_CLOSED", "ER_SERVER_SHUTDOWN", "ER_CON_COUNT_ERROR", "ER_CONNECTION_KILLED",
  // A Galera node that has lost its cluster answers this.
  "ER_UNKNOWN_COM_ERROR",
]);

/** True for errors of the way to the database, not of the query: worth a retry later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  for (let current: unknown = error, depth = 0; current instanceof Error && depth < 8; current = current.cause, depth += 1) {
    const code: unknown = Reflect.get(current, "code");
    if (typeof code === "string" && unreachable.has(code)) return true;
    if (current.message === "Pool is closed." || current.message.includes("closed state")) return true;
  }
  return false;
}
