import { createServer, connect, type AddressInfo, type Socket } from "node:net";

/**
 * Stands between the command and the agent, so that a transfer can be stopped at a known place: the
 * tests wait for that state instead of hoping to be quick enough.
 */
export interface Proxy {
  readonly port: number;
  /** Bytes that went to clients since the last `hold`. */
  readonly sentBytes: number;
  /** The next connection that brings more than this is stopped there, once. */
  hold(afterBytes: number): void;
  /** Resolves when a connection is stopped. */
  held(): Promise<void>;
  /** Stopped connections go on. */
  release(): void;
  /** Breaks all connections, and takes none until `up`. */
  down(): void;
  up(): void;
  close(): Promise<void>;
}

export async function startProxy(agentPort: () => number): Promise<Proxy> {
  let limitBytes = Number.POSITIVE_INFINITY;
  let sentBytes = 0;
  let isDown = false;
  let stopped = Promise.withResolvers<void>();
  const waiting = new Set<() => void>();
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    if (isDown) {
      client.destroy();
      return;
    }
    const agent = connect(agentPort(), "127.0.0.1");
    let received = 0;
    let held: Buffer[] | undefined;
    for (const [one, other] of [[client, agent], [agent, client]] as const) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    client.pipe(agent);
    client.on("drain", () => agent.resume());
    agent.on("data", (chunk: Buffer) => {
      if (held !== undefined) {
        // Taken all the same: so the end of the agent's side is noticed.
        held.push(chunk);
        return;
      }
      const allowed = Math.max(0, limitBytes - received);
      received += chunk.length;
      if (chunk.length <= allowed) {
        forward(chunk);
        return;
      }
      // From here on nothing comes, until somebody lets it.
      limitBytes = Number.POSITIVE_INFINITY;
      forward(chunk.subarray(0, allowed));
      held = [chunk.subarray(allowed)];
      const go = (): void => {
        waiting.delete(go);
        for (const one of held ?? []) forward(one);
        held = undefined;
        if (agent.readableEnded) client.end();
      };
      waiting.add(go);
      agent.once("close", () => waiting.delete(go));
      stopped.resolve();
    });
    agent.on("end", () => {
      if (held === undefined) client.end();
    });
    const forward = (chunk: Buffer): void => {
      sentBytes += chunk.length;
      if (!client.write(chunk)) agent.pause();
    };
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const release = (): void => {
    for (const go of [...waiting]) go();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get sentBytes() {
      return sentBytes;
    },
    hold(afterBytes) {
      limitBytes = afterBytes;
      sentBytes = 0;
      stopped = Promise.withResolvers<void>();
    },
    held: async () => await stopped.promise,
    release,
    down() {
      isDown = true;
      limitBytes = Number.POSITIVE_INFINITY;
      waiting.clear();
      for (const socket of sockets) socket.destroy();
    },
    up() {
      isDown = false;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
