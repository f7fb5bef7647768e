import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import type { AgentEnv } from "./request.ts";

/**
 * A client that takes not one byte for this long is gone; one that reads slowly survives, because the
 * socket counts what the system's buffers take. Those can hold megabytes, so it must be long. Node
 * fires after one to two times this.
 */
export const stalledClientMs = 5 * 60_000;
/** A request line and headers arrive within this. */
const headersTimeoutMs = 20_000;
const requestTimeoutMs = 30_000;
/** Between two requests of one connection. */
const keepAliveMs = 10_000;
/** Room for a path of 64 KiB, percent-encoded, and a token. */
const maxHeaderBytes = 256 * 1024;

export interface AgentServer {
  readonly port: number;
  /** No new connections; waits up to graceMs for running answers, then breaks them. */
  close(graceMs: number): Promise<void>;
}

/** @param options.stalledClientMs shorter in tests */
export async function listenForClients(
  app: Hono<AgentEnv>,
  options: { readonly host: string; readonly port: number; readonly stalledClientMs?: number },
): Promise<AgentServer> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs, keepAliveTimeout: keepAliveMs, maxHeaderSize: maxHeaderBytes, noDelay: true },
  }) as Server;
  server.timeout = options.stalledClientMs ?? stalledClientMs;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}
