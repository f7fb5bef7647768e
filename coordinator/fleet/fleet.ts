import { nanoid } from "nanoid";
import type { Logger } from "pino";
import { PluckError } from "../../shared/errors.ts";
import { type CommandBody, type CommandName, type CommandResult, type Heartbeat, topicRoot } from "../../shared/messages.ts";
import type { Clock, Fleet } from "../context.ts";
import type { Database } from "../database/connect.ts";
import { BoundedLog } from "./bounded-log.ts";
import { coordinatorUsername } from "./broker.ts";
import { Calls } from "./call.ts";
import { openConnection } from "./connection.ts";
import { Intake } from "./intake.ts";
import { Presence } from "./presence.ts";
import { recordAgentEvents } from "./record-agent-events.ts";

export interface FleetOptions {
  readonly broker: {
    readonly url: string;
    /** At the embedded broker: coordinatorUsername. */
    readonly username?: string | undefined;
    readonly password?: string | undefined;
  };
  readonly db: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often silent agents are looked for. */
  readonly presenceCheckMs?: number;
  readonly reconnectMs?: number;
}

export interface OpenFleet extends Fleet {
  /** This coordinator's name in reply topics. */
  readonly instance: string;
  /** True while it hears and is heard at the broker. */
  isConnected(): boolean;
  whenConnected(timeoutMs: number): Promise<boolean>;
  /** Called for each heartbeat of a registered agent, before the agent counts as seen. */
  onHeartbeat(listener: (heartbeat: Heartbeat, heardAt: Date) => Promise<void>): void;
  close(): Promise<void>;
}

const defaultCallTimeoutMs = 15_000;
/** A command that finds the broker away waits this long for it. */
const brokerWaitMs = 5000;

/** Connects to the broker and listens to the agents. Resolves at once; the connection may come later. */
export async function openFleet(options: FleetOptions): Promise<OpenFleet> {
  const { db, clock, logger } = options;
  const instance = `c${nanoid()}`;
  const log = new BoundedLog((details, message) => logger.warn(details, message));
  const listeners: ((heartbeat: Heartbeat, heardAt: Date) => Promise<void>)[] = [];
  let listeningSince = clock.now();

  const calls = new Calls({
    instance,
    clock,
    publish: (topic, payload) => connection.publish(topic, payload),
    clockOffsetMs: (agentId) => presence.clockOffsetMs(agentId),
    onDropped: (agentId, why) => logger.debug({ agentId, why }, "dropped a reply"),
  });
  const presence = new Presence({
    db,
    clock,
    logger,
    log,
    onBack: (agentId) => calls.agentIsBack(agentId),
    onGone: (agentId) => calls.agentIsGone(agentId),
  });
  const intake = new Intake({
    instance,
    log,
    now: () => clock.now(),
    handlers: {
      onReply: (agentId, reply) => calls.receive(agentId, reply),
      onStatus: (status) => presence.status(status),
      onHeartbeat: (heartbeat, heardAt) =>
        presence.heartbeat(heartbeat, heardAt, async () => {
          for (const listener of listeners) await listener(heartbeat, heardAt);
        }),
      onEvents: async (agentId, events) => {
        if (await presence.isRegistered(agentId)) await recordAgentEvents(db, agentId, events);
      },
    },
  });
  await presence.load();

  const connection = openConnection({
    ...options.broker,
    clientId: `${coordinatorUsername}-${instance}`,
    filters: [`${topicRoot}/+/reply/${instance}`, `${topicRoot}/+/status`, `${topicRoot}/+/heartbeat`, `${topicRoot}/+/events`],
    onMessage: (topic, payload) => intake.receive(topic, payload),
    onReady: () => {
      listeningSince = clock.now();
    },
    logger,
    ...(options.reconnectMs === undefined ? {} : { reconnectMs: options.reconnectMs }),
  });

  let checking = false;
  const timer = setInterval(() => {
    if (checking) return;
    checking = true;
    checkPresence()
      .catch((error: unknown) => log.warn("presence", { err: error }, "could not check which agents are silent"))
      .finally(() => (checking = false));
  }, options.presenceCheckMs ?? 5000);

  async function checkPresence(): Promise<void> {
    await presence.load();
    if (connection.isReady()) await presence.expire(listeningSince);
  }

  async function call<N extends CommandName>(agentId: string, op: N, body: CommandBody<N>, { timeoutMs = defaultCallTimeoutMs }: { timeoutMs?: number } = {}): Promise<CommandResult<N>> {
    if (!presence.isOnline(agentId)) throw new PluckError("agent_offline", `Agent ${agentId} is offline.`, { retryAfterS: 10 });
    if (!(await connection.whenReady(Math.min(timeoutMs, brokerWaitMs)))) {
      throw new PluckError("agent_offline", `Agent ${agentId} can't be reached: the message broker is away.`, { retryAfterS: 10 });
    }
    return await calls.send(agentId, op, body, timeoutMs);
  }

  return {
    instance,
    call,
    isOnline: (agentId) => presence.isOnline(agentId),
    isConnected: () => connection.isReady(),
    whenConnected: (timeoutMs) => connection.whenReady(timeoutMs),
    onHeartbeat: (listener) => {
      listeners.push(listener);
    },
    close: async () => {
      clearInterval(timer);
      calls.close();
      await connection.close();
    },
  };
}
