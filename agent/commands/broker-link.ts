import { randomUUID } from "node:crypto";
import { connect, type MqttClient } from "mqtt";
import type { Logger } from "pino";
import { PluckError } from "../../shared/errors.ts";
import { topics, type AgentEvent, type AgentStatus, type Heartbeat } from "../../shared/messages.ts";
import { within } from "../../shared/within.ts";
import type { OpenMounts } from "../mounts/open-mount.ts";
import { Dispatcher } from "./dispatcher.ts";
import { EventQueue } from "./event-queue.ts";
import { endForgottenMounts } from "./idle-safety.ts";

export interface BrokerLinkOptions {
  readonly url: string;
  readonly username: string;
  readonly password: string | undefined;
  readonly agentId: string;
  readonly repositoryId: string;
  readonly repositoryRoot: string;
  readonly publicUrl: string;
  readonly version: string;
  readonly mounts: OpenMounts;
  readonly heartbeatS: number;
  readonly idleTimeoutS: number;
  readonly logger: Logger;
  readonly reconnectMs?: number;
}

/** The agent's side of the fleet. It lives through any absence of the broker. */
export interface BrokerLink {
  readonly isConnected: () => boolean;
  /** For the audit trail; kept until the broker has it. */
  readonly report: (event: AgentEvent) => void;
  /** Says goodbye (retained `offline`), which no last will does after a clean end, and disconnects. */
  readonly close: () => Promise<void>;
}

const keepaliveS = 15;
const connectTimeoutMs = 10_000;
const reconnectMs = 1000;
/** The client itself would wait for ever for the answer. */
const subscribeTimeoutMs = 10_000;
/** Changes within this are told in one heartbeat. */
const changeDelayMs = 20;
/** A broker that doesn't acknowledge the goodbye in this time won't. */
const goodbyeMs = 1000;
const idleCheckMs = 30_000;

export function openBrokerLink(options: BrokerLinkOptions): BrokerLink {
  return new Link(options);
}

class Link implements BrokerLink {
  readonly #options: BrokerLinkOptions;
  /** Made anew at each start: a late last will of an older one is told apart by it. */
  readonly #session = randomUUID();
  readonly #client: MqttClient;
  readonly #events: EventQueue;
  readonly #dispatcher: Dispatcher;
  readonly #timers: NodeJS.Timeout[];
  #soon: NodeJS.Timeout | undefined;
  #isReady = false;
  #isClosed = false;
  #cutOffSince: Date | undefined = new Date();

  constructor(options: BrokerLinkOptions) {
    const { agentId, logger, mounts } = options;
    this.#options = options;
    this.#events = new EventQueue(agentId, logger, async (topic, message) => {
      if (!this.#isReady) throw new Error("no broker");
      await this.#client.publishAsync(topic, JSON.stringify(message), { qos: 1 });
    });
    this.#dispatcher = new Dispatcher({
      agentId, logger, mounts,
      repositoryRoot: options.repositoryRoot,
      publishReply: (topic, reply) => this.#publish(topic, reply, { qos: 1 }),
      onChange: () => this.#heartbeatSoon(),
    });
    mounts.onLost((mountId, error) => this.#onLost(mountId, error));
    this.#client = this.#connect();
    this.#timers = [
      setInterval(() => this.#heartbeat(), options.heartbeatS * 1000),
      setInterval(() => void this.#endForgotten(), Math.min(idleCheckMs, options.idleTimeoutS * 1000)),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  isConnected = (): boolean => this.#isReady;

  report = (event: AgentEvent): void => this.#events.add(event);

  close = async (): Promise<void> => {
    if (this.#isClosed) return;
    if (this.#isReady) {
      const goodbye = (async () => {
        await this.#events.send();
        await this.#client.publishAsync(topics.status(this.#options.agentId), JSON.stringify(this.#status("offline")), { qos: 1, retain: true });
      })().catch(() => undefined);
      await Promise.race([goodbye, new Promise((resolve) => setTimeout(resolve, goodbyeMs).unref())]);
    }
    this.#isClosed = true;
    this.#isReady = false;
    clearTimeout(this.#soon);
    for (const timer of this.#timers) clearInterval(timer);
    // Not forced while connected, so that a DISCONNECT is sent and no last will follows; it can't wait for long.
    const ended = new Promise<void>((resolve) => this.#client.end(!this.#client.connected, {}, () => resolve()));
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, goodbyeMs).unref())]);
    this.#client.end(true);
  };

  #connect(): MqttClient {
    const { agentId, logger, url, username, password } = this.#options;
    const client = connect(url, {
      protocolVersion: 4,
      clean: true,
      // Its user name too: nobody else can push this agent off the broker by taking its client id.
      clientId: agentId,
      username,
      ...(password === undefined ? {} : { password }),
      keepalive: keepaliveS,
      connectTimeout: connectTimeoutMs,
      reconnectPeriod: this.#options.reconnectMs ?? reconnectMs,
      // By default one refused CONNACK (a broker that is still starting) would end the client for ever.
      reconnectOnConnackError: true,
      queueQoSZero: false,
      // Done below, where a refused subscription is noticed.
      resubscribe: false,
      will: { topic: topics.status(agentId), payload: Buffer.from(JSON.stringify(this.#status("offline"))), qos: 1, retain: true },
    });
    client.on("connect", () => {
      // The client sets no TCP_NODELAY: with Nagle's algorithm each exchange would take 40 ms.
      const { stream } = client as unknown as { stream: { setNoDelay?: (on: boolean) => void; destroy: () => void } };
      stream.setNoDelay?.(true);
      this.#greet().catch((error: unknown) => {
        if (this.#isClosed) return;
        logger.error({ err: error }, "could not sign on at the broker; connecting anew");
        // The client reconnects by itself when its socket ends; a reconnect beside that would make two.
        stream.destroy();
      });
    });
    client.on("close", () => {
      if (this.#isReady && !this.#isClosed) logger.warn("the connection to the broker is lost");
      if (this.#isReady || this.#cutOffSince === undefined) this.#cutOffSince = new Date();
      this.#isReady = false;
    });
    client.on("error", (error) => logger.warn({ reason: error.message }, "the broker refused or failed"));
    client.on("message", (topic, payload) => {
      if (topic === topics.command(agentId)) void this.#dispatcher.receive(payload);
    });
    return client;
  }

  /** Listens first and announces itself then: commands are repeated when an agent comes online. */
  async #greet(): Promise<void> {
    const { agentId, logger } = this.#options;
    const granted = await within(subscribeTimeoutMs, this.#client.subscribeAsync(topics.command(agentId), { qos: 1 }));
    if (granted.some(({ qos }) => qos === 128)) throw new Error(`the broker refused the subscription to ${topics.command(agentId)}`);
    this.#isReady = true;
    this.#cutOffSince = undefined;
    this.#publish(topics.status(agentId), this.#status("online"), { qos: 1, retain: true });
    this.#heartbeat();
    logger.info("connected to the broker");
    void this.#events.send();
  }

  #status(state: AgentStatus["state"]): AgentStatus {
    const { agentId, publicUrl, repositoryId, version, mounts } = this.#options;
    return { v: 1, agent_id: agentId, state, session: this.#session, public_url: publicUrl, repository_id: repositoryId, version, slots: mounts.slots };
  }

  #heartbeatSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#heartbeat();
    }, changeDelayMs).unref();
  }

  #heartbeat(): void {
    if (!this.#isReady) return;
    const { agentId, mounts } = this.#options;
    const open = mounts.list();
    const opening = mounts.opening();
    const heartbeat: Heartbeat = {
      v: 1,
      agent_id: agentId,
      session: this.#session,
      sent_at: new Date().toISOString(),
      slots: { total: mounts.slots, used: open.length + opening.length },
      mounts: open.map((mount) => ({
        mount_id: mount.mountId, nbd_device: mount.nbdDevice, last_accessed_at: mount.lastAccessedAt.toISOString(), transfers: mount.transfers,
      })),
      opening,
    };
    this.#publish(topics.heartbeat(agentId), heartbeat, { qos: 0 });
  }

  #publish(topic: string, message: unknown, publishOptions: { qos: 0 | 1; retain?: boolean }): void {
    if (this.#isClosed) return;
    this.#client.publish(topic, JSON.stringify(message), publishOptions, (error) => {
      // Null on success, whatever the types say.
      if (error instanceof Error && !this.#isClosed) this.#options.logger.debug({ topic, reason: error.message }, "could not publish");
    });
  }

  #onLost(mountId: string, error: Error): void {
    this.#events.add(endedEvent(mountId, error instanceof PluckError ? error.code : "internal"));
    this.#heartbeatSoon();
  }

  async #endForgotten(): Promise<void> {
    const { mounts, idleTimeoutS, logger } = this.#options;
    const ended = await endForgottenMounts(mounts, idleTimeoutS, this.#cutOffSince, new Date());
    for (const mountId of ended) {
      logger.warn({ mount_id: mountId }, "ended an idle mount: no broker to ask");
      this.#events.add(endedEvent(mountId, "idle"));
    }
  }
}

function endedEvent(mountId: string, outcome: string): AgentEvent {
  return {
    id: randomUUID(), at: new Date().toISOString(), type: "mount_ended", mount_id: mountId,
    link_id: null, user: null, operation: null, path: null, bytes: null, outcome,
  };
}
