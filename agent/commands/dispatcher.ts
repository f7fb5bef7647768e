import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { PluckError, toErrorBody } from "../../shared/errors.ts";
import { commandBodies, commandSchema, idPattern, maxMessageBytes, topics, type Command, type CommandName, type Reply } from "../../shared/messages.ts";
import { check } from "./check.ts";
import type { CommandHandler, CommandServices } from "./command.ts";
import { mount } from "./mount.ts";
import { scan } from "./scan.ts";
import { unlock, unlockKey } from "./unlock.ts";
import { UnlockDesk } from "./unlock-desk.ts";
import { unmount } from "./unmount.ts";

const handlers: { readonly [N in CommandName]: CommandHandler<N> } = { mount, unlock_key: unlockKey, unlock, unmount, check, scan };

/** Commands remembered by id: a broker repeats what was not acknowledged, a coordinator what was not answered. */
const rememberedCommands = 1000;
/** They are repeated within their deadline, which is minutes. */
const rememberedMs = 15 * 60_000;

export interface DispatcherOptions extends Omit<CommandServices, "unlocks"> {
  readonly agentId: string;
  readonly logger: Logger;
  readonly publishReply: (topic: string, reply: Reply) => void;
  /** Called when a command has changed what is open. */
  readonly onChange: () => void;
  readonly now?: () => Date;
}

/**
 * Takes what comes on the command topic. What is too large, malformed, past its deadline or wants its
 * answer anywhere but on this agent's own reply topics is dropped and logged; a repeated id is answered
 * with the same reply, without doing it again.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #services: CommandServices;
  readonly #replies = new LRUCache<string, Promise<Reply>>({ max: rememberedCommands, ttl: rememberedMs });

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { mounts, repositoryRoot } = options;
    this.#services = { mounts, repositoryRoot, unlocks: new UnlockDesk() };
  }

  /** Resolves when the command was answered or dropped. Never throws. */
  async receive(payload: Uint8Array): Promise<void> {
    const { logger, publishReply } = this.#options;
    const command = this.#accept(payload);
    if (command === undefined) return;
    const known = this.#replies.get(command.id);
    if (known !== undefined) logger.debug({ command_id: command.id, op: command.op }, "repeated command");
    const pending = known ?? this.#run(command);
    if (known === undefined) this.#replies.set(command.id, pending);
    publishReply(command.reply_to, await pending);
  }

  #accept(payload: Uint8Array): Command | undefined {
    const { agentId, logger } = this.#options;
    if (payload.length > maxMessageBytes) {
      logger.warn({ bytes: payload.length, limit: maxMessageBytes }, "command dropped: too large");
      return undefined;
    }
    const parsed = commandSchema.safeParse(parseJson(payload));
    if (!parsed.success) {
      logger.warn({ problems: parsed.error.issues.slice(0, 5).map(({ path, code }) => `${path.join(".")}: ${code}`) }, "command dropped: malformed");
      return undefined;
    }
    const command = parsed.data;
    if (!isOwnReplyTopic(agentId, command.reply_to)) {
      logger.warn({ command_id: command.id, op: command.op }, "command dropped: its reply would go elsewhere");
      return undefined;
    }
    const lateMs = (this.#options.now?.() ?? new Date()).getTime() - Date.parse(command.deadline);
    if (lateMs > 0) {
      logger.warn({ command_id: command.id, op: command.op, late_ms: lateMs }, "command dropped: past its deadline (or the clocks differ)");
      return undefined;
    }
    return command;
  }

  async #run(command: Command): Promise<Reply> {
    const { logger, onChange } = this.#options;
    const { id, op } = command;
    const startedAt = performance.now();
    try {
      const result = await runBody(command, this.#services);
      logger.info({ command_id: id, op, ms: Math.round(performance.now() - startedAt) }, "command done");
      return { v: 1, id, ok: true, result };
    } catch (error) {
      const body = toErrorBody(error);
      logger[body.code === "internal" ? "error" : "warn"]({ command_id: id, op, code: body.code, err: error }, "command failed");
      return { v: 1, id, ok: false, error: body };
    } finally {
      if (op === "mount" || op === "unmount") onChange();
    }
  }
}

async function runBody({ op, body }: Command, services: CommandServices): Promise<unknown> {
  const parsed = commandBodies[op].safeParse(body);
  if (!parsed.success) {
    const problems = parsed.error.issues.slice(0, 5).map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new PluckError("invalid_request", `The command "${op}" is malformed: ${problems.join("; ")}.`);
  }
  const handler = handlers[op] as CommandHandler<CommandName>;
  return await handler(parsed.data, services);
}

/** `pluck/v1/agents/{own id}/reply/{instance}` and nothing else: no command makes an agent write where others listen. */
export function isOwnReplyTopic(agentId: string, topic: string): boolean {
  const prefix = topics.reply(agentId, "");
  return topic.startsWith(prefix) && idPattern.test(topic.slice(prefix.length));
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch {
    return undefined;
  }
}
