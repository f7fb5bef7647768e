import type { Logger } from "pino";
import { agentEventsSchema, topics, type AgentEvent } from "../../shared/messages.ts";
import type { z } from "zod";

/** Beyond this the oldest are lost: days without a broker must not fill the memory. */
export const maxQueuedEvents = 10_000;
/** Events a message; with paths of 64 KiB it stays below a message's size limit. */
const eventsPerMessage = 100;

type EventsMessage = z.infer<typeof agentEventsSchema>;

/**
 * Events for the audit trail, kept until the broker acknowledged them. One message is on its way at a
 * time, so the order holds; each event has an id, so a repeated one does no harm.
 */
export class EventQueue {
  readonly #agentId: string;
  readonly #logger: Logger;
  /** Resolves when the broker acknowledged it; rejects when it can't be sent now. */
  readonly #publish: (topic: string, message: EventsMessage) => Promise<void>;
  #queued: AgentEvent[] = [];
  #isSending = false;

  constructor(agentId: string, logger: Logger, publish: (topic: string, message: EventsMessage) => Promise<void>) {
    this.#agentId = agentId;
    this.#logger = logger;
    this.#publish = publish;
  }

  get length(): number {
    return this.#queued.length;
  }

  add(event: AgentEvent): void {
    if (this.#queued.length >= maxQueuedEvents) {
      const lost = this.#queued.shift();
      this.#logger.warn({ event_id: lost?.id, mount_id: lost?.mount_id, limit: maxQueuedEvents }, "an event is lost: the queue is full");
    }
    this.#queued.push(event);
    void this.send();
  }

  /** Sends what waits; called again at every connect. Never throws. */
  async send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      while (this.#queued.length > 0) {
        const events = this.#queued.slice(0, eventsPerMessage);
        await this.#publish(topics.events(this.#agentId), { v: 1, agent_id: this.#agentId, events });
        const sent = new Set(events);
        this.#queued = this.#queued.filter((event) => !sent.has(event));
      }
    } catch (error) {
      this.#logger.debug({ err: error, waiting: this.#queued.length }, "events wait for the broker");
    } finally {
      this.#isSending = false;
    }
  }
}
