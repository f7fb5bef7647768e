import { pino } from "pino";
import { expect, it } from "vitest";
import { agentEventsSchema, type AgentEvent } from "../../shared/messages.ts";
import { EventQueue, maxQueuedEvents } from "./event-queue.ts";

function event(id: string): AgentEvent {
  return { id, at: "2026-11-23T12:00:00.000Z", type: "mount_ended", mount_id: "m1", link_id: null, user: null, operation: null, path: null, bytes: null, outcome: "idle" };
}

it("keeps events until the broker has them, in order, and sends each once when all goes well", async () => {
  const sent: string[] = [];
  let isAway = true;
  const queue = new EventQueue("a1", pino({ level: "silent" }), (topic, message) => {
    if (isAway) return Promise.reject(new Error("no broker"));
    expect(topic).toBe("pluck/v1/agents/a1/events");
    sent.push(...agentEventsSchema.parse(message).events.map(({ id }) => id));
    return Promise.resolve();
  });
  const ids = Array.from({ length: 250 }, (_, index) => `e${index}`);
  for (const id of ids) queue.add(event(id));
  await queue.send();
  expect(queue.length).toBe(250);
  isAway = false;
  await queue.send();
  expect(sent).toEqual(ids);
  expect(queue.length).toBe(0);
});

it("loses the oldest when it is full, and holds no more than its bound", async () => {
  const queue = new EventQueue("a1", pino({ level: "silent" }), () => Promise.reject(new Error("no broker")));
  for (let index = 0; index < maxQueuedEvents + 5; index++) queue.add(event(`e${index}`));
  expect(queue.length).toBe(maxQueuedEvents);
});
