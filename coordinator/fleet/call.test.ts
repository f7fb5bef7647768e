import { describe, expect, it } from "vitest";
import { commandSchema, topics } from "../../shared/messages.ts";
import { systemClock } from "../context.ts";
import { Calls } from "./call.ts";

function setUp() {
  const sent: { topic: string; command: ReturnType<typeof commandSchema.parse> }[] = [];
  const dropped: string[] = [];
  const calls = new Calls({
    instance: "c1",
    clock: systemClock,
    publish: (topic, payload) => sent.push({ topic, command: commandSchema.parse(JSON.parse(payload)) }),
    onDropped: (_agentId, why) => dropped.push(why),
  });
  const result = { mount_id: "m1", was_open: true };
  return { calls, sent, dropped, result };
}

describe("a command in flight", () => {
  it("carries an id, the reply topic and a deadline, and gets its answer", async () => {
    const { calls, sent, result } = setUp();
    const before = Date.now();
    const answer = calls.send("a", "unmount", { mount_id: "m1" }, 5000);
    const [{ topic, command }] = sent as [(typeof sent)[number]];
    expect(topic).toBe(topics.command("a"));
    expect(command).toMatchObject({ v: 1, op: "unmount", reply_to: topics.reply("a", "c1"), body: { mount_id: "m1" } });
    expect(Date.parse(command.deadline) - before).toBeGreaterThanOrEqual(4999);
    calls.receive("a", { v: 1, id: command.id, ok: true, result });
    expect(await answer).toEqual(result);
    expect(calls.size).toBe(0);
  });

  it("throws what the agent said, as it said it", async () => {
    const { calls, sent } = setUp();
    const answer = calls.send("a", "unmount", { mount_id: "m1" }, 5000);
    calls.receive("a", { v: 1, id: sent[0]!.command.id, ok: false, error: { code: "nbd_devices_exhausted", detail: "All taken.", extra: { slots: 4 }, retry_after_s: 9 } });
    await expect(answer).rejects.toMatchObject({ code: "nbd_devices_exhausted", message: "All taken.", extra: { slots: 4 }, retryAfterS: 9 });
  });

  it("turns a code it doesn't know, and a result of the wrong form, into an internal error", async () => {
    const { calls, sent } = setUp();
    const first = calls.send("a", "unmount", { mount_id: "m1" }, 5000);
    calls.receive("a", { v: 1, id: sent[0]!.command.id, ok: false, error: { code: "made_up", detail: "x" } });
    await expect(first).rejects.toMatchObject({ code: "internal" });
    const second = calls.send("a", "unmount", { mount_id: "m1" }, 5000);
    calls.receive("a", { v: 1, id: sent[1]!.command.id, ok: true, result: { was_open: "yes" } });
    await expect(second).rejects.toMatchObject({ code: "internal", message: expect.stringContaining("does not understand") });
  });

  it("times out, and drops the reply that comes late or twice", async () => {
    const { calls, sent, dropped, result } = setUp();
    await expect(calls.send("a", "unmount", { mount_id: "m1" }, 20)).rejects.toMatchObject({ code: "agent_timeout" });
    for (let time = 0; time < 2; time += 1) calls.receive("a", { v: 1, id: sent[0]!.command.id, ok: true, result });
    expect(dropped).toEqual(["nobody waits for this reply", "nobody waits for this reply"]);
  });

  it("tells the deadline by the agent's clock", () => {
    const deadlines: number[] = [];
    const calls = new Calls({ instance: "c1", clock: systemClock, publish: (_topic, payload) => deadlines.push(Date.parse(commandSchema.parse(JSON.parse(payload)).deadline)), clockOffsetMs: () => -3_600_000 });
    calls.send("a", "unmount", { mount_id: "m1" }, 5000).catch(() => undefined);
    expect(Math.abs((deadlines[0] ?? 0) - (Date.now() + 5000 - 3_600_000))).toBeLessThan(1000);
    calls.close();
  });

  it("takes no answer from another agent", async () => {
    const { calls, sent, dropped, result } = setUp();
    const answer = calls.send("a", "unmount", { mount_id: "m1" }, 5000);
    calls.receive("b", { v: 1, id: sent[0]!.command.id, ok: true, result: { mount_id: "m1", was_open: false } });
    expect(dropped).toEqual(["the reply is for another agent's command"]);
    calls.receive("a", { v: 1, id: sent[0]!.command.id, ok: true, result });
    expect(await answer).toEqual(result);
  });

  it("is sent again under its id when its agent announces itself, and fails at once when it leaves", async () => {
    const { calls, sent } = setUp();
    const answer = calls.send("a", "unmount", { mount_id: "m1" }, 5000);
    const other = calls.send("b", "unmount", { mount_id: "m2" }, 5000);
    calls.agentIsBack("a");
    expect(sent.map(({ command }) => command.id)).toEqual([sent[0]!.command.id, sent[1]!.command.id, sent[0]!.command.id]);
    calls.agentIsGone("a");
    await expect(answer).rejects.toMatchObject({ code: "agent_offline" });
    expect(calls.size).toBe(1);
    calls.close();
    await expect(other).rejects.toMatchObject({ code: "agent_offline" });
  });
});
