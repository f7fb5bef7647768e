import { timingSafeEqual } from "node:crypto";
import { EventEmitter } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { Aedes } from "aedes";
import { maxMessageBytes } from "../../shared/messages.ts";
import { BoundedConnection } from "./packet-limit.ts";
import { type BrokerIdentity, mayPublish, maySubscribe } from "./topic-access.ts";

/**
 * The embedded broker (aedes, MQTT 3.1.1, memory only). Nothing depends on what it remembers: after a
 * restart every side connects, subscribes and announces itself anew.
 */
export interface BrokerOptions {
  /** Default 127.0.0.1: a wider address belongs behind TLS or a firewall. */
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** The password of the user `$coordinator`, the coordinators' own way in. */
  readonly coordinatorPassword: string;
  /** True when this is the agent's broker password. */
  readonly verifyAgent: (agentId: string, password: string) => Promise<boolean>;
  readonly onWarning?: (message: string, details: Record<string, unknown>) => void;
}

export interface Broker {
  /** mqtt://host:port, without credentials. */
  readonly url: string;
  readonly port: number;
  readonly connectedClients: () => number;
  /** Ends every connection and the listener. */
  readonly close: () => Promise<void>;
}

/** Not an agent id by its `$`, so no agent can be registered under it. */
export const coordinatorUsername = "$coordinator";

/** Before it has signed in a client sends CONNECT (with its will) and perhaps SUBSCRIBE: small ones. */
const signInPacketBytes = 64 * 1024;
/** Topic and packet id come on top of the payload. */
const packetOverheadBytes = 1024;
const signInTimeoutMs = 10_000;
/** Above what a fleet of one embedded broker has; a flood of sockets stops here. */
const maxConnections = 5000;

type AedesClient = ReturnType<Aedes["handle"]>;

export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { host = "127.0.0.1", onWarning = () => undefined } = options;
  const identities = new WeakMap<AedesClient, BrokerIdentity>();

  const aedes = await Aedes.createBroker({
    connectTimeout: signInTimeoutMs,
    maxTopicLevels: 16,
    authenticate: (client, username, password, done) => {
      // A persistent session would queue without bound while its owner is away.
      if (!client.clean) return done(Object.assign(new Error("a clean session is required"), { returnCode: 2 }), false);
      signIn(options, client.id, username ?? "", password).then(
        (identity) => {
          if (identity === undefined) return done(refusal(), false);
          identities.set(client, identity);
          if (client.conn instanceof BoundedConnection) client.conn.setLimit(maxMessageBytes + packetOverheadBytes);
          done(null, true);
        },
        (error: unknown) => {
          onWarning("the broker could not check a password", { error });
          done(Object.assign(new Error("try again"), { returnCode: 3 }), false);
        },
      );
    },
    authorizePublish: (client, packet, done) => {
      // No client: the broker itself publishes a last will that outlived its connection.
      const identity = client === null ? undefined : identities.get(client);
      if (identity !== undefined && mayPublish(identity, packet.topic, packet.retain)) return done(null);
      onWarning("the broker refused a message", { client: client?.id, topic: packet.topic.slice(0, 200) });
      done(new Error("not allowed to publish here"));
    },
    authorizeSubscribe: (client, subscription, done) => {
      const identity = identities.get(client);
      const allowed = identity !== undefined && maySubscribe(identity, subscription.topic);
      if (!allowed) onWarning("the broker refused a subscription", { client: client.id, topic: subscription.topic.slice(0, 200) });
      done(null, allowed ? subscription : null);
    },
  });
  aedes.on("clientError", (client, error) => onWarning("an MQTT client failed", { client: client.id, reason: error.message }));
  aedes.on("connectionError", (_client, error) => onWarning("an MQTT connection failed", { reason: error.message }));
  // Not among the typed events, but emitted when its store fails.
  EventEmitter.prototype.on.call(aedes, "error", (error: unknown) => onWarning("the broker failed", { error }));

  const server = createServer({ noDelay: true }, (socket) => {
    aedes.handle(new BoundedConnection(socket, signInPacketBytes));
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `mqtt://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    connectedClients: () => aedes.connectedClients,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await closed;
    },
  };
}

/** An agent's client id is its own id: nobody can push another one off the broker by taking its client id. */
async function signIn(options: BrokerOptions, clientId: string, username: string, password: Readonly<Buffer> | undefined): Promise<BrokerIdentity | undefined> {
  if (password === undefined) return undefined;
  if (username === coordinatorUsername) {
    return clientId.startsWith("$coordinator-") && sameText(password, options.coordinatorPassword) ? { role: "coordinator" } : undefined;
  }
  if (clientId !== username) return undefined;
  return (await options.verifyAgent(username, password.toString("utf8"))) ? { role: "agent", agentId: username } : undefined;
}

function sameText(given: Readonly<Buffer>, expected: string): boolean {
  const bytes = Buffer.from(expected, "utf8");
  return given.length === bytes.length && timingSafeEqual(given, bytes);
}

function refusal(): Error & { returnCode: number } {
  return Object.assign(new Error("bad user name or password"), { returnCode: 4 });
}
