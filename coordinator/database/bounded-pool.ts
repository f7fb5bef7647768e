import type { Duplex } from "node:stream";
import type { Pool, PoolConnection } from "mysql2";

/**
 * A database that hangs (its disk, a frozen machine, a network that swallows packets) answers nothing and
 * closes nothing: without a bound every request would wait for ever, and with them all connections be taken.
 *
 * Bounds how long a connection and each statement on it is waited for. A statement that is late ends with
 * PROTOCOL_SEQUENCE_TIMEOUT, and its connection is given up: what the server may still be doing on it is
 * nobody's to wait for.
 *
 * @param onTimeout told once for each connection that is given up
 */
export function boundPool(pool: Pool, timeoutMs: number, onTimeout: () => void): void {
  const acquire = pool.getConnection.bind(pool);
  const guarded = new WeakSet<PoolConnection>();
  // The pool's own query() takes its connection here, too.
  pool.getConnection = (callback) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      onTimeout();
      // As the driver does for an error: without a connection.
      callback(timeoutError("no connection was free", timeoutMs), undefined as never);
    }, timeoutMs);
    acquire((error, connection) => {
      clearTimeout(timer);
      if (isLate) {
        if (error === null) connection.release();
        return;
      }
      if (error === null && !guarded.has(connection)) {
        guarded.add(connection);
        guard(connection, timeoutMs, onTimeout);
      }
      callback(error, connection);
    });
  };
}

function guard(connection: PoolConnection, timeoutMs: number, onTimeout: () => void): void {
  const query = connection.query.bind(connection) as (...parameters: unknown[]) => ReturnType<PoolConnection["query"]>;
  const running = new Set<NodeJS.Timeout>();
  const giveUp = (): void => {
    for (const timer of running) clearTimeout(timer);
    onTimeout();
    // By its socket: the driver then fails what waits on the connection, and takes it out of the pool.
    (connection as PoolConnection & { readonly stream: Duplex }).stream.destroy(timeoutError("it did not answer a statement", timeoutMs));
  };
  connection.once("error", () => {
    for (const timer of running) clearTimeout(timer);
  });
  const bounded = (...parameters: unknown[]): ReturnType<PoolConnection["query"]> => {
    const command = query(...parameters);
    const timer = setTimeout(giveUp, timeoutMs);
    running.add(timer);
    command.once("end", () => {
      clearTimeout(timer);
      running.delete(timer);
    });
    return command;
  };
  connection.query = bounded as PoolConnection["query"];
}

function timeoutError(what: string, timeoutMs: number): Error & { code: string; errno: undefined; fatal: boolean } {
  const error = new Error(`the database hangs: ${what} within ${String(timeoutMs / 1000)} s`);
  return Object.assign(error, { code: "PROTOCOL_SEQUENCE_TIMEOUT", errno: undefined, fatal: true });
}
