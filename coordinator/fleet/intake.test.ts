import { describe, expect, it } from "vitest";
import { topics } from "../../shared/messages.ts";
import { BoundedLog } from "./bounded-log.ts";
import { Intake, type IntakeHandlers } from "./intake.ts";

const heartbeat = (second: number, agentId = "a") => ({
  v: 1, agent_id: agentId, session: "s1", sent_at: new Date(second * 1000).toISOString(), slots: { total: 4, used: 0 }, mounts: [], opening: [],
});
const status = { v: 1, agent_id: "a", state: "online", session: "s1", public_url: "http://a.test", repository_id: "r", version: "1", slots: 4 };

function setUp(given: Partial<IntakeHandlers> = {}) {
  const seen: string[] = [];
  const lines: { message: string; details: Record<string, unknown> }[] = [];
  let now = 0;
  const log = new BoundedLog((details, message) => lines.push({ message, details }), { intervalMs: 1000, now: () => now });
  const handlers: IntakeHandlers = {
    onReply: (agentId, reply) => void seen.push(`reply ${agentId} ${reply.id}`),
    onStatus: (each) => Promise.resolve(void seen.push(`status ${each.state}`)),
    onHeartbeat: (each) => Promise.resolve(void seen.push(`heartbeat ${each.sent_at.slice(17, 19)}`)),
    onEvents: (agentId, events) => Promise.resolve(void seen.push(`events ${agentId} ${events.length}`)),
    ...given,
  };
  const intake = new Intake({ instance: "c1", handlers, log, now: () => new Date() });
  const receive = (topic: string, payload: unknown) => intake.receive(topic, Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload)));
  return { intake, receive, seen, lines, later: (ms: number) => (now += ms) };
}
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("the intake", () => {
  it("hands each kind of message on", async () => {
    const { receive, seen } = setUp();
    receive(topics.status("a"), status);
    receive(topics.heartbeat("a"), heartbeat(1));
    receive(topics.events("a"), { v: 1, agent_id: "a", events: [] });
    receive(topics.reply("a", "c1"), { v: 1, id: "x", ok: true, result: null });
    receive(topics.reply("a", "c2"), { v: 1, id: "y", ok: true, result: null });
    await settle();
    expect(seen.sort()).toEqual(["events a 0", "heartbeat 01", "reply a x", "status online"]);
  });

  it.each([
    ["no JSON", "{"],
    ["JSON of another kind", "17"],
    ["nothing of the form", {}],
    ["another version", { ...heartbeat(1), v: 2 }],
    ["an id that can't be one", { ...heartbeat(1), session: "../x" }],
    ["a mount without a time", { ...heartbeat(1), mounts: [{ mount_id: "m", nbd_device: "nbd0", transfers: 0 }] }],
    ["too many mounts", { ...heartbeat(1), opening: Array.from({ length: 5000 }, () => "m") }],
    ["another agent's name", heartbeat(1, "b")],
    ["bytes", "\u0000\u0001\ufffd"],
  ])("drops a heartbeat with %s, and says so once", async (_, payload) => {
    const { receive, seen, lines } = setUp();
    for (let time = 0; time < 100; time += 1) receive(topics.heartbeat("a"), payload);
    await settle();
    expect(seen).toEqual([]);
    expect(lines).toHaveLength(1);
  });

  it("drops what is on no topic of ours, and an empty retained message without a word", () => {
    const { receive, seen, lines } = setUp();
    receive("pluck/v1/agents/a/other", status);
    receive(topics.status("a"), "");
    expect([seen, lines.length]).toEqual([[], 1]);
  });

  it("tells later how many lines it held back", () => {
    const { receive, lines, later } = setUp();
    for (let time = 0; time < 10; time += 1) receive(topics.status("a"), "x");
    later(1001);
    receive(topics.status("a"), "x");
    expect(lines.map(({ details }) => details["held_back"])).toEqual([undefined, 9]);
  });

  it("takes one message of an agent after the other, and only the newest heartbeat of those that wait", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const order: string[] = [];
    const { receive } = setUp({
      onStatus: async () => {
        await held;
        order.push("status");
      },
      onHeartbeat: (each) => Promise.resolve(void order.push(each.sent_at.slice(17, 19))),
    });
    receive(topics.status("a"), status);
    for (let second = 1; second <= 9; second += 1) receive(topics.heartbeat("a"), heartbeat(second));
    receive(topics.heartbeat("b"), heartbeat(20, "b"));
    await settle();
    expect(order).toEqual(["20"]);
    release();
    await settle();
    expect(order).toEqual(["20", "status", "09"]);
  });

  it("goes on after a message that could not be handled", async () => {
    const { receive, seen, lines } = setUp({ onStatus: () => Promise.reject(new Error("no database")) });
    receive(topics.status("a"), status);
    receive(topics.heartbeat("a"), heartbeat(3));
    await settle();
    expect(seen).toEqual(["heartbeat 03"]);
    expect(lines.map(({ message }) => message)).toEqual(["could not handle an agent's message"]);
  });

  it("bounds what waits for a handler that is stuck", async () => {
    let calls = 0;
    const { receive, lines } = setUp({ onEvents: () => new Promise(() => void (calls += 1)) });
    for (let time = 0; time < 1000; time += 1) receive(topics.events("a"), { v: 1, agent_id: "a", events: [] });
    await settle();
    expect([calls, lines.length]).toEqual([1, 1]);
  });
});
