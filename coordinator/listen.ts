import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";

/** What answers requests: an app's `fetch`. */
export type Fetch = (request: Request, environment?: object) => Response | Promise<Response>;

export interface Listener {
  readonly port: number;
  /** From now on requests go here. */
  use(fetch: Fetch): void;
  /** Takes no new connections; requests that run have `graceMs` to end. */
  close(graceMs: number): Promise<void>;
}

/** Slow headers hold a socket no longer than this. */
const headersTimeoutMs = 20_000;
const requestTimeoutMs = 120_000;

/** Takes the port before anything else is started, so that a port in use is said at once. */
export async function listen(host: string, port: number, first: Fetch): Promise<Listener> {
  let current = first;
  const server = createAdaptorServer({ fetch: (request, environment) => current(request, environment as object) }) as Server;
  server.headersTimeout = headersTimeoutMs;
  server.requestTimeout = requestTimeoutMs;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    use: (fetch) => {
      current = fetch;
    },
    close: async (graceMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}
