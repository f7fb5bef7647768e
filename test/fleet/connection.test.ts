import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, coordinatorUsername, startBroker } from "../../coordinator/fleet/broker.ts";
import { type Connection, openConnection } from "../../coordinator/fleet/connection.ts";
import { eventually } from "./site.ts";

// Property: the connection comes back whenever and however it breaks, and settles down to one socket.

let broker: Broker;
let proxy: { url: string; cut: (packetType: number, times: number) => void; swallow: (packetType: number) => void; opened: () => number; drop: () => void; close: () => void };
let connection: Connection | undefined;

beforeEach(async () => {
  broker = await startBroker({ port: 0, coordinatorPassword: "secret-of-coordinators", verifyAgent: () => Promise.resolve(false) });
  proxy = await startProxy(broker.port);
});
afterEach(async () => {
  await connection?.close();
  proxy.close();
  await broker.close();
});

/** Passes bytes on; can break off when the client sends a packet of a kind (first byte), or keep it back. */
async function startProxy(port: number): Promise<typeof proxy> {
  const sockets = new Set<Socket>();
  let cuts = { type: 0, left: 0 };
  let swallowed = 0;
  let opened = 0;
  const server = createServer((client) => {
    opened += 1;
    const upstream = connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => {
      if (chunk[0] === cuts.type && cuts.left > 0) {
        cuts.left -= 1;
        client.destroy();
      } else if (chunk[0] === swallowed) {
        swallowed = 0;
      } else {
        upstream.write(chunk);
      }
    });
    upstream.on("data", (chunk) => client.write(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: (type, left) => void (cuts = { type, left }),
    swallow: (type) => void (swallowed = type),
    opened: () => opened,
    drop,
    close: () => {
      server.close();
      drop();
    },
  };
}

function open(more: { subscribeTimeoutMs?: number } = {}): { seen: string[] } {
  const seen: string[] = [];
  connection = openConnection({
    url: proxy.url, username: coordinatorUsername, password: "secret-of-coordinators", clientId: "$coordinator-c1",
    filters: ["pluck/v1/agents/+/status"], onMessage: (topic) => seen.push(topic), logger: pino({ level: "silent" }), reconnectMs: 50, ...more,
  });
  return { seen };
}

describe("the connection to the broker", () => {
  const connectPacket = 0x10;
  const subscribePacket = 0x82;

  it.each([
    ["at CONNECT", connectPacket],
    ["at SUBSCRIBE", subscribePacket],
  ])("settles down after it was broken off five times %s", async (_, type) => {
    proxy.cut(type, 5);
    open();
    await eventually("it is ready", () => connection?.isReady() === true);
    await sleep(700);
    expect(connection?.isReady()).toBe(true);
    expect(proxy.opened()).toBe(6);
    expect(broker.connectedClients()).toBe(1);
  });

  it("comes back after drops in any phase", async () => {
    open();
    for (let time = 0; time < 30; time += 1) {
      proxy.drop();
      await sleep(time * 5);
    }
    await eventually("it is ready", () => connection?.isReady() === true);
    await sleep(300);
    const before = proxy.opened();
    await sleep(500);
    expect([connection?.isReady(), proxy.opened(), broker.connectedClients()]).toEqual([true, before, 1]);
  });

  it("does not wait for ever for a broker that never answers the subscription", async () => {
    proxy.swallow(subscribePacket);
    open({ subscribeTimeoutMs: 300 });
    await eventually("it is ready", () => connection?.isReady() === true);
    expect(proxy.opened()).toBe(2);
  });

  it("tells who waits for it that it took too long", async () => {
    proxy.cut(connectPacket, 1000);
    open();
    expect(await connection?.whenReady(150)).toBe(false);
    proxy.cut(0, 0);
    expect(await connection?.whenReady(5000)).toBe(true);
  });
});
