import { nanoid } from "nanoid";
import { fromErrorBody, PluckError } from "../../shared/errors.ts";
import { type Command, type CommandBody, type CommandName, type CommandResult, commandResults, type Reply, topics } from "../../shared/messages.ts";
import type { Clock } from "../context.ts";

/**
 * Commands in flight. A command has an id and a deadline, and is idempotent: it is sent again, under
 * the same id, whenever its agent announces itself while it waits (the broker or the agent may have
 * lost the first one). A reply that nobody waits for is dropped.
 */
export interface CallsOptions {
  readonly instance: string;
  readonly clock: Clock;
  readonly publish: (topic: string, payload: string) => void;
  /** How far an agent's clock is ahead of ours: deadlines are told by its clock. */
  readonly clockOffsetMs?: (agentId: string) => number;
  readonly onDropped?: (agentId: string, why: string) => void;
}

interface Pending {
  readonly agentId: string;
  readonly op: CommandName;
  readonly payload: string;
  readonly settle: (outcome: { result: unknown } | { error: PluckError }) => void;
}

export class Calls {
  readonly #options: CallsOptions;
  readonly #pending = new Map<string, Pending>();

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** @throws PluckError agent_timeout, agent_offline when the agent leaves meanwhile, or what it answered */
  async send<N extends CommandName>(agentId: string, op: N, body: CommandBody<N>, timeoutMs: number): Promise<CommandResult<N>> {
    const { instance, clock, publish, clockOffsetMs } = this.#options;
    const command: Command = {
      v: 1,
      // Ids in our topics and messages begin with a letter or digit; nanoid's may not.
      id: `m${nanoid()}`,
      op,
      reply_to: topics.reply(agentId, instance),
      deadline: new Date(clock.now().getTime() + timeoutMs + (clockOffsetMs?.(agentId) ?? 0)).toISOString(),
      body,
    };
    const outcome = await new Promise<{ result: unknown } | { error: PluckError }>((resolve) => {
      const timer = setTimeout(() => {
        settle({ error: new PluckError("agent_timeout", `Agent ${agentId} did not answer "${op}" within ${timeoutMs / 1000} s.`) });
      }, timeoutMs);
      const settle: Pending["settle"] = (given) => {
        clearTimeout(timer);
        this.#pending.delete(command.id);
        resolve(given);
      };
      const pending: Pending = { agentId, op, payload: JSON.stringify(command), settle };
      this.#pending.set(command.id, pending);
      publish(topics.command(agentId), pending.payload);
    });
    if ("error" in outcome) throw outcome.error;
    const parsed = commandResults[op].safeParse(outcome.result);
    if (!parsed.success) {
      throw new PluckError("internal", `Agent ${agentId} answered "${op}" in a form this coordinator does not understand.`, { cause: parsed.error });
    }
    return parsed.data as CommandResult<N>;
  }

  /** @param agentId whose reply topic it came on: nobody answers for another */
  receive(agentId: string, reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined || pending.agentId !== agentId) {
      this.#options.onDropped?.(agentId, pending === undefined ? "nobody waits for this reply" : "the reply is for another agent's command");
    } else {
      pending.settle(reply.ok ? { result: reply.result } : { error: fromErrorBody(reply.error as Parameters<typeof fromErrorBody>[0]) });
    }
  }

  agentIsBack(agentId: string): void {
    for (const pending of this.#pending.values()) {
      if (pending.agentId === agentId) this.#options.publish(topics.command(agentId), pending.payload);
    }
  }

  /** Ends what waits for this agent: it won't answer. */
  agentIsGone(agentId: string): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.agentId === agentId) pending.settle({ error: new PluckError("agent_offline", `Agent ${agentId} went offline before it answered.`) });
    }
  }

  close(): void {
    for (const pending of [...this.#pending.values()]) {
      pending.settle({ error: new PluckError("agent_offline", "The coordinator is shutting down.") });
    }
  }
}
