import { connect } from "mqtt";
import type { Logger } from "pino";
import { maxMessageBytes } from "../../shared/messages.ts";
import { within } from "../../shared/within.ts";

/**
 * One connection to the broker, embedded or not, that comes back for ever. MQTT 3.1.1 with a clean
 * session: what a broker would keep for us is not needed, the database is the truth.
 */
export interface ConnectionOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly clientId: string;
  /** Subscribed to at every connect, at QoS 1. */
  readonly filters: readonly string[];
  readonly onMessage: (topic: string, payload: Buffer) => void;
  /** After the subscriptions stand, at every connect. */
  readonly onReady?: () => void;
  readonly logger: Logger;
  readonly reconnectMs?: number;
  readonly subscribeTimeoutMs?: number;
}

export interface Connection {
  /** True while commands can be sent and replies heard. */
  readonly isReady: () => boolean;
  /** Resolves when ready, or false when that took longer than the timeout. */
  readonly whenReady: (timeoutMs: number) => Promise<boolean>;
  /** At QoS 1; what is given while the broker is away is sent when it is back. Never throws. */
  readonly publish: (topic: string, payload: string) => void;
  readonly close: () => Promise<void>;
}

const keepaliveS = 15;
const connectTimeoutMs = 10_000;
/** The client itself would wait for ever for the answer. */
const subscribeTimeoutMs = 10_000;

export function openConnection(options: ConnectionOptions): Connection {
  const { logger } = options;
  const waiting = new Set<() => void>();
  let ready = false;
  let closed = false;

  const client = connect(options.url, {
    protocolVersion: 4,
    clean: true,
    clientId: options.clientId,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    keepalive: keepaliveS,
    connectTimeout: connectTimeoutMs,
    reconnectPeriod: options.reconnectMs ?? 1000,
    // By default one refused CONNACK (a broker that is still starting) would end the client for ever.
    reconnectOnConnackError: true,
    queueQoSZero: false,
    // Done below, where a refused subscription is noticed.
    resubscribe: false,
  });

  client.on("connect", () => {
    const { stream } = client as unknown as { stream: { setNoDelay?: (on: boolean) => void; destroy: () => void } };
    // The client sets no TCP_NODELAY: with Nagle's algorithm each exchange would take 40 ms.
    stream.setNoDelay?.(true);
    subscribe().catch((error: unknown) => {
      if (closed) return;
      logger.error({ err: error, filters: options.filters }, "could not subscribe at the broker; connecting anew");
      // The client reconnects by itself when its socket ends; a reconnect beside that would make two.
      stream.destroy();
    });
  });
  client.on("close", () => {
    if (ready && !closed) logger.warn("the connection to the broker is lost");
    ready = false;
  });
  client.on("error", (error) => logger.warn({ reason: error.message }, "the broker refused or failed"));
  client.on("message", (topic, payload) => {
    if (payload.length > maxMessageBytes) logger.warn({ topic, bytes: payload.length }, "dropped a message over the size limit");
    else options.onMessage(topic, payload);
  });

  async function subscribe(): Promise<void> {
    const granted = await within(options.subscribeTimeoutMs ?? subscribeTimeoutMs, client.subscribeAsync([...options.filters], { qos: 1 }));
    const refused = granted.filter(({ qos }) => qos === 128).map(({ topic }) => topic);
    if (refused.length > 0) throw new Error(`the broker refused the subscription to ${refused.join(", ")}`);
    ready = true;
    logger.info("connected to the broker");
    for (const wake of waiting) wake();
    options.onReady?.();
  }

  return {
    isReady: () => ready,
    whenReady: (timeoutMs) => {
      if (ready) return Promise.resolve(true);
      return new Promise((resolve) => {
        const finish = (outcome: boolean) => {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve(outcome);
        };
        const wake = () => finish(true);
        const timer = setTimeout(() => finish(false), timeoutMs);
        waiting.add(wake);
      });
    },
    publish: (topic, payload) => {
      if (closed) return;
      client.publish(topic, payload, { qos: 1 }, (error) => {
        // Null on success, whatever the types say.
        if (error instanceof Error && !closed) logger.warn({ topic, reason: error.message }, "could not publish");
      });
    },
    close: async () => {
      closed = true;
      ready = false;
      // Forced: a graceful end waits for acknowledgements that a dead broker never sends.
      await new Promise<void>((resolve) => client.end(true, () => resolve()));
    },
  };
}
