import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTcp } from "node:net";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { afterEach, describe, expect, it } from "vitest";
import { type Broker, coordinatorUsername, startBroker } from "../../coordinator/fleet/broker.ts";
import { maxMessageBytes, topics } from "../../shared/messages.ts";

// Property: nobody speaks or listens at the embedded broker in another's name, and no client can make
// it hold more than a bounded amount.

let broker: Broker;
const clients: MqttClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  await broker.close();
});

async function start(): Promise<void> {
  broker = await startBroker({ port: 0, coordinatorPassword: "secret-of-coordinators", verifyAgent: async (id, password) => id.startsWith("site-") && password === `of ${id}` });
}

async function open(options: IClientOptions): Promise<MqttClient> {
  const client = await connectAsync(broker.url, { protocolVersion: 4, clean: true, reconnectPeriod: 0, ...options });
  client.on("error", () => undefined);
  clients.push(client);
  return client;
}
const agent = (id: string, more: IClientOptions = {}) => open({ clientId: id, username: id, password: `of ${id}`, ...more });
const coordinator = () => open({ clientId: "$coordinator-c1", username: coordinatorUsername, password: "secret-of-coordinators" });

describe("signing in", () => {
  it.each([
    ["no credentials", { clientId: "site-a" }],
    ["a wrong password", { clientId: "site-a", username: "site-a", password: "x" }],
    ["an unknown agent", { clientId: "x", username: "x", password: "of x" }],
    ["another agent's client id", { clientId: "site-b", username: "site-a", password: "of site-a" }],
    ["a wrong coordinator password", { clientId: "$coordinator-c1", username: coordinatorUsername, password: "secret-of-coordinatorz" }],
    ["an agent's client id with the coordinators' password", { clientId: "site-a", username: coordinatorUsername, password: "secret-of-coordinators" }],
    ["a session that would be kept", { clientId: "site-a", username: "site-a", password: "of site-a", clean: false }],
  ])("refuses %s", async (_, options) => {
    await start();
    await expect(open(options)).rejects.toThrow();
    expect(broker.connectedClients()).toBe(0);
  });
});

describe("what each may do", () => {
  it("lets an agent publish its own status, and a coordinator see it, also later", async () => {
    await start();
    const a = await agent("site-a");
    await a.publishAsync(topics.status("site-a"), "here", { qos: 1, retain: true });
    const c = await coordinator();
    const seen: string[] = [];
    c.on("message", (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
    await c.subscribeAsync("pluck/v1/agents/+/status", { qos: 1 });
    await sleep(50);
    expect(seen).toEqual([`${topics.status("site-a")} here`]);
  });

  it("gives an agent its own commands only", async () => {
    await start();
    const [a, b, c] = [await agent("site-a"), await agent("site-b"), await coordinator()];
    const seen: string[] = [];
    for (const [name, client] of [["a", a], ["b", b]] as const) client.on("message", (topic) => seen.push(`${name} ${topic}`));
    expect((await a.subscribeAsync(topics.command("site-a"), { qos: 1 })).map(({ qos }) => qos)).toEqual([1]);
    for (const filter of [topics.command("site-a"), "#", "pluck/v1/agents/+/command", "$SYS/#"]) {
      await expect(b.subscribeAsync(filter, { qos: 1 })).rejects.toThrow(/Unspecified error|128|refused/i);
    }
    await c.publishAsync(topics.command("site-a"), "do", { qos: 1 });
    await sleep(50);
    expect(seen).toEqual([`a ${topics.command("site-a")}`]);
  });

  it.each([
    ["another agent's heartbeat", topics.heartbeat("site-b"), false],
    ["a command", topics.command("site-a"), false],
    ["a retained heartbeat", topics.heartbeat("site-a"), true],
    ["the broker's own topics", "$SYS/x/new/clients", false],
  ])("ends the connection of an agent that publishes %s", async (_, topic, retain) => {
    await start();
    const c = await coordinator();
    const seen: string[] = [];
    c.on("message", (each) => seen.push(each));
    await c.subscribeAsync("pluck/v1/agents/#", { qos: 1 });
    const a = await agent("site-a");
    const closed = new Promise((resolve) => a.once("close", () => resolve(true)));
    a.publish(topic, "x", { qos: 1, retain });
    expect(await closed).toBe(true);
    expect(seen).toEqual([]);
  });

  it("publishes a last will only in the agent's own name", async () => {
    await start();
    const c = await coordinator();
    const seen: string[] = [];
    c.on("message", (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
    await c.subscribeAsync("pluck/v1/agents/#", { qos: 1 });
    for (const [id, topic] of [["site-a", topics.status("site-b")], ["site-b", topics.status("site-b")]] as const) {
      const client = await agent(id, { will: { topic, payload: Buffer.from(`will of ${id}`), qos: 1, retain: true } });
      (client as unknown as { stream: { destroy(): void } }).stream.destroy();
    }
    await sleep(100);
    expect(seen).toEqual([`${topics.status("site-b")} will of site-b`]);
  });
});

describe("what it holds", () => {
  it("takes the largest message there may be, and ends who sends a larger one", async () => {
    await start();
    const c = await coordinator();
    const sizes: number[] = [];
    c.on("message", (_topic, payload) => sizes.push(payload.length));
    await c.subscribeAsync("pluck/v1/agents/+/events", { qos: 1 });
    const a = await agent("site-a");
    await a.publishAsync(topics.events("site-a"), Buffer.alloc(maxMessageBytes), { qos: 1 });
    await sleep(200);
    expect(sizes).toEqual([maxMessageBytes]);
    const closed = new Promise((resolve) => a.once("close", () => resolve(true)));
    a.publish(topics.events("site-a"), Buffer.alloc(maxMessageBytes + 2000), { qos: 1 });
    expect(await closed).toBe(true);
  });

  it("ends who announces 256 MB before signing in, by the header alone", async () => {
    await start();
    const socket = connectTcp(broker.port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", () => resolve(true)));
    socket.on("error", () => undefined);
    socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
    expect(await closed).toBe(true);
  });
});
