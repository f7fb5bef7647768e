import { describe, expect, it } from "vitest";
import { topics } from "../../shared/messages.ts";
import { type BrokerIdentity, mayPublish, maySubscribe, parseTopic } from "./topic-access.ts";

const agent: BrokerIdentity = { role: "agent", agentId: "site-a" };
const coordinator: BrokerIdentity = { role: "coordinator" };

describe("topics", () => {
  it("reads each of our topics, and nothing that only looks like one", () => {
    expect(parseTopic(topics.reply("site-a", "c1"))).toEqual({ agentId: "site-a", kind: "reply", instance: "c1" });
    expect(parseTopic(topics.status("site-a"))).toEqual({ agentId: "site-a", kind: "status", instance: undefined });
    const foreign = ["", "$SYS/x", "pluck/v1/agents", "pluck/v1/agents/", "pluck/v1/agents/a", "pluck/v1/agents/a/status/x", "pluck/v1/agents/a/reply"];
    for (const topic of [...foreign, "pluck/v1/agents/+/status", "pluck/v1/agents/#", "pluck/v1/agents/a/other", "xpluck/v1/agents/a/status"]) {
      expect(parseTopic(topic), topic).toBeUndefined();
    }
  });

  it("lets an agent publish only in its own name, and retain only its status", () => {
    expect(mayPublish(agent, topics.status("site-a"), true)).toBe(true);
    expect(mayPublish(agent, topics.heartbeat("site-a"), false)).toBe(true);
    expect(mayPublish(agent, topics.events("site-a"), false)).toBe(true);
    expect(mayPublish(agent, topics.reply("site-a", "c1"), false)).toBe(true);
    expect(mayPublish(agent, topics.heartbeat("site-a"), true)).toBe(false);
    expect(mayPublish(agent, topics.command("site-a"), false)).toBe(false);
    expect(mayPublish(agent, topics.status("site-b"), true)).toBe(false);
    expect(mayPublish(agent, "$SYS/broker/heartbeat", false)).toBe(false);
  });

  it("lets an agent hear its own commands only", () => {
    expect(maySubscribe(agent, topics.command("site-a"))).toBe(true);
    for (const filter of [topics.command("site-b"), "pluck/v1/agents/+/command", "pluck/v1/agents/site-a/#", "#", "$SYS/#", topics.reply("site-a", "c1")]) {
      expect(maySubscribe(agent, filter), filter).toBe(false);
    }
  });

  it("lets a coordinator command and listen, but not speak for an agent nor leave our root", () => {
    expect(mayPublish(coordinator, topics.command("site-b"), false)).toBe(true);
    expect(mayPublish(coordinator, topics.command("site-b"), true)).toBe(false);
    expect(mayPublish(coordinator, topics.status("site-b"), true)).toBe(false);
    expect(maySubscribe(coordinator, "pluck/v1/agents/+/status")).toBe(true);
    expect(maySubscribe(coordinator, "$SYS/#")).toBe(false);
    expect(maySubscribe(coordinator, "#")).toBe(false);
  });
});
