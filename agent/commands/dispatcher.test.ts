import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { PluckError } from "../../shared/errors.ts";
import { maxMessageBytes, topics, type Reply } from "../../shared/messages.ts";
import type { OpenMounts } from "../mounts/open-mount.ts";
import { Dispatcher, isOwnReplyTopic } from "./dispatcher.ts";

const now = new Date("2026-11-23T12:00:00Z");

function dispatcher(end: OpenMounts["end"] = () => Promise.resolve(true)) {
  const replies: { topic: string; reply: Reply }[] = [];
  let changes = 0;
  const mounts: OpenMounts = {
    lastWebOrigin: null, slots: 1, open: () => Promise.reject(new Error("SECRET inside")), end, get: () => undefined, list: () => [], opening: () => [],
    onLost: () => undefined, close: () => Promise.resolve(),
  };
  const made = new Dispatcher({
    agentId: "a1", mounts, repositoryRoot: "/nowhere", logger: pino({ level: "silent" }), now: () => now,
    publishReply: (topic, reply) => void replies.push({ topic, reply }),
    onChange: () => void changes++,
  });
  const receive = async (more: Record<string, unknown>) => {
    const command = { v: 1, id: "c1", op: "unmount", reply_to: topics.reply("a1", "x"), deadline: "2026-11-23T12:00:01Z", body: { mount_id: "m" }, ...more };
    await made.receive(Buffer.from(JSON.stringify(command)));
  };
  return { replies, receive, raw: made.receive.bind(made), changes: () => changes };
}

describe("a command", () => {
  it("is done and answered on its reply topic", async () => {
    const { receive, replies, changes } = dispatcher();
    await receive({});
    expect(replies).toEqual([{ topic: "pluck/v1/agents/a1/reply/x", reply: { v: 1, id: "c1", ok: true, result: { mount_id: "m", was_open: true } } }]);
    expect(changes()).toBe(1);
  });

  it("that is repeated is answered again, also while it runs, and done once", async () => {
    let runs = 0;
    let finish: (value: boolean) => void = () => undefined;
    const { receive, replies } = dispatcher(() => {
      runs++;
      return new Promise((resolve) => (finish = resolve));
    });
    const both = [receive({}), receive({ reply_to: topics.reply("a1", "y") })];
    finish(true);
    await Promise.all(both);
    await receive({});
    expect(runs).toBe(1);
    expect(replies.map(({ topic }) => topic.at(-1))).toEqual(["x", "y", "x"]);
    expect(new Set(replies.map(({ reply }) => JSON.stringify(reply))).size).toBe(1);
  });

  it.each([
    ["past its deadline", { deadline: "2026-11-23T11:59:59Z" }],
    ["of another version", { v: 2 }],
    ["unknown", { op: "format" }],
    ["with a reply topic of another agent", { reply_to: "pluck/v1/agents/a2/reply/x" }],
    ["with a reply topic that is a command topic", { reply_to: "pluck/v1/agents/a1/command" }],
    ["with a wildcard reply topic", { reply_to: "pluck/v1/agents/a1/reply/#" }],
    ["with an id that is no id", { id: "a/b" }],
  ])("%s is dropped", async (_what, more) => {
    const { receive, replies } = dispatcher();
    await receive(more);
    expect(replies).toEqual([]);
  });

  it("that is no JSON or too large is dropped", async () => {
    const { raw, replies } = dispatcher();
    await raw(Buffer.from("{"));
    await raw(Buffer.alloc(maxMessageBytes + 1, 0x20));
    expect(replies).toEqual([]);
  });

  it("that fails tells users what they can act on, and nothing of the inside", async () => {
    const failing = dispatcher(() => Promise.reject(new PluckError("io_error", "storage gone", { retryAfterS: 5 })));
    await failing.receive({});
    expect(failing.replies[0]?.reply).toEqual({ v: 1, id: "c1", ok: false, error: { code: "io_error", detail: "storage gone", retry_after_s: 5 } });
    const inside = dispatcher();
    await inside.receive({ op: "mount", body: { mount_id: "m", qcow2_path: "a", jwks: { keys: [{ kty: "OKP", kid: "k" }] }, web_origin: null } });
    expect(inside.replies[0]?.reply).toMatchObject({ ok: false, error: { code: "internal" } });
    expect(JSON.stringify(inside.replies)).not.toContain("SECRET");
    await inside.receive({ id: "c2", body: {} });
    expect(inside.replies[1]?.reply).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });
});

it("only this agent's own reply topics are its own", () => {
  expect(isOwnReplyTopic("a1", "pluck/v1/agents/a1/reply/instance-1")).toBe(true);
  for (const topic of ["pluck/v1/agents/a1/reply/", "pluck/v1/agents/a1/reply/x/y", "pluck/v1/agents/a1/status", "pluck/v1/agents/a11/reply/x", "+/reply/x"]) {
    expect(isOwnReplyTopic("a1", topic)).toBe(false);
  }
});
