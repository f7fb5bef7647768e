import type { z } from "zod";
import {
  type AgentEvent,
  agentEventsSchema,
  type AgentStatus,
  agentStatusSchema,
  type Heartbeat,
  heartbeatSchema,
  type Reply,
  replySchema,
} from "../../shared/messages.ts";
import type { BoundedLog } from "./bounded-log.ts";
import { parseTopic } from "./topic-access.ts";

/** What comes from the agents, once it has the form it must have. */
export interface IntakeHandlers {
  readonly onReply: (agentId: string, reply: Reply) => void;
  readonly onStatus: (status: AgentStatus) => Promise<void>;
  readonly onHeartbeat: (heartbeat: Heartbeat, heardAt: Date) => Promise<void>;
  readonly onEvents: (agentId: string, events: readonly AgentEvent[]) => Promise<void>;
}

export interface IntakeOptions {
  readonly instance: string;
  readonly handlers: IntakeHandlers;
  readonly log: BoundedLog;
  readonly now: () => Date;
}

interface Waiting {
  readonly kind: string;
  readonly run: () => Promise<void>;
}

/** More than an agent sends while the database is away for a while; heartbeats replace each other. */
const maxWaitingPerAgent = 64;

/**
 * Sorts messages by topic, drops what is not of the right form, and hands on one after the other per
 * agent. A heartbeat that waits gives way to the next one.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #queues = new Map<string, Waiting[]>();

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  receive(topic: string, payload: Buffer): void {
    const { handlers, instance, log } = this.#options;
    const parsed = parseTopic(topic);
    if (parsed === undefined) return log.warn("topic", { topic: topic.slice(0, 200) }, "dropped a message on a topic that is not ours");
    const { agentId, kind } = parsed;
    // An empty retained message only clears the topic.
    if (payload.length === 0) return;
    switch (kind) {
      case "reply": {
        if (parsed.instance !== instance) return;
        const reply = this.#parse(agentId, kind, payload, replySchema);
        if (reply !== undefined) handlers.onReply(agentId, reply);
        return;
      }
      case "status": {
        const status = this.#parse(agentId, kind, payload, agentStatusSchema);
        if (status !== undefined && this.#isOwn(agentId, status.agent_id, kind)) this.#enqueue(agentId, kind, () => handlers.onStatus(status));
        return;
      }
      case "heartbeat": {
        const heardAt = this.#options.now();
        const heartbeat = this.#parse(agentId, kind, payload, heartbeatSchema);
        if (heartbeat !== undefined && this.#isOwn(agentId, heartbeat.agent_id, kind)) this.#enqueue(agentId, kind, () => handlers.onHeartbeat(heartbeat, heardAt));
        return;
      }
      case "events": {
        const report = this.#parse(agentId, kind, payload, agentEventsSchema);
        if (report !== undefined && this.#isOwn(agentId, report.agent_id, kind)) this.#enqueue(agentId, kind, () => handlers.onEvents(agentId, report.events));
        return;
      }
      case "command":
        // Coordinators subscribe to none of these.
        return;
    }
  }

  #parse<S extends z.ZodType>(agentId: string, kind: string, payload: Buffer, schema: S): z.infer<S> | undefined {
    let json: unknown;
    try {
      json = JSON.parse(payload.toString("utf8"));
    } catch {
      this.#options.log.warn(`form ${agentId} ${kind}`, { agentId, kind, bytes: payload.length }, "dropped a message that is not JSON");
      return undefined;
    }
    const parsed = schema.safeParse(json);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    this.#options.log.warn(`form ${agentId} ${kind}`, { agentId, kind, at: issue?.path.join("."), expected: issue?.message }, "dropped a message of the wrong form");
    return undefined;
  }

  #isOwn(agentId: string, claimed: string, kind: string): boolean {
    if (agentId === claimed) return true;
    this.#options.log.warn(`own ${agentId} ${kind}`, { agentId, claimed, kind }, "dropped a message in another agent's name");
    return false;
  }

  #enqueue(agentId: string, kind: string, run: () => Promise<void>): void {
    const queue = this.#queues.get(agentId);
    if (queue === undefined) {
      const started: Waiting[] = [{ kind, run }];
      this.#queues.set(agentId, started);
      void this.#drain(agentId, started);
      return;
    }
    const superseded = kind === "heartbeat" ? queue.findIndex((waiting, index) => index > 0 && waiting.kind === kind) : -1;
    if (superseded > 0) queue.splice(superseded, 1);
    if (queue.length >= maxWaitingPerAgent) this.#options.log.warn(`queue ${agentId}`, { agentId, kind }, "dropped a message: too many of this agent's are waiting");
    else queue.push({ kind, run });
  }

  /** The first of the queue is the one that runs. */
  async #drain(agentId: string, queue: Waiting[]): Promise<void> {
    for (let current = queue[0]; current !== undefined; current = queue[0]) {
      try {
        await current.run();
      } catch (error) {
        this.#options.log.warn(`handle ${agentId} ${current.kind}`, { err: error, agentId, kind: current.kind }, "could not handle an agent's message");
      }
      queue.shift();
    }
    this.#queues.delete(agentId);
  }
}
