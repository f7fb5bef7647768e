import { mkdir } from "node:fs/promises";
import type { Logger } from "pino";
import { createApp } from "./app.ts";
import type { CoordinatorConfig } from "./config.ts";
import { systemActor, systemClock, type Context } from "./context.ts";
import { coordinatorUsername, startBroker } from "./fleet/broker.ts";
import { openFleet, type FleetOptions, type OpenFleet } from "./fleet/fleet.ts";
import { startReconcile } from "./fleet/reconcile.ts";
import { checkHealth, type Health } from "./health.ts";
import { listen, type Listener } from "./listen.ts";
import { createLogger } from "./logger/create-logger.ts";
import { prepareDatabase, type PreparedDatabase } from "./prepare-database.ts";
import { problemResponse } from "./routes/problem-response.ts";
import { createRouter } from "./routes/router.ts";
import { readOrMakeAdminToken } from "./services/access/admin-token.ts";
import { hashSecret, newSecret } from "./services/access/secret.ts";
import { createLinks } from "./services/links/signing-keys.ts";
import { createMounts } from "./services/mounts/mount-service.ts";
import { ensureAgent, verifyAgentPassword } from "./services/sites/agents.ts";
import { startSweep, type Sweep } from "./services/sweep/start-sweep.ts";
import { PluckError } from "../shared/errors.ts";
import { pageFolder, readStaticFiles } from "./web/static-files.ts";

export interface Coordinator {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Where agents connect, without credentials. */
  readonly brokerUrl: string;
  /** The database in use. */
  readonly databaseUrl: string;
  /** For whoever runs an agent beside it: registers repository and agent where missing, and sets the agent's broker password. */
  ensureAgent(input: { id: string; repositoryId: string; repositoryName?: string; password: string }): Promise<void>;
  /** Stops all it started, in under 8 s. */
  close(): Promise<void>;
}

/** Requests that run have this long to end; bytes of backups do not pass here, so they are short. */
const closeGraceMs = 1500;
/** No part of the stop may hold up the others for longer. */
const closeFleetMs = 1500;
const closeDatabaseMs = 4800;

/** Wires a coordinator: database, broker, fleet, services, HTTP. What was started is stopped again when a later step fails. */
export async function startCoordinator(config: CoordinatorConfig, options: { logger?: Logger } = {}): Promise<Coordinator> {
  const logger = options.logger ?? createLogger(config.logLevel);
  const started: Started = {};
  const close = async (): Promise<void> => await closeAll(started, logger);
  try {
    await mkdir(config.home, { recursive: true, mode: 0o700 });
    const listener = await listen(config.host, config.port, startingApp().fetch);
    started.listener = listener;
    const url = config.publicUrl ?? localUrl(config.host, listener.port);

    const database = await prepareDatabase(config, logger);
    started.database = database;
    const adminToken = config.adminToken ?? (await readOrMakeAdminToken(config.home));
    if (adminToken.length < 16) logger.warn("PLUCK_ADMIN_TOKEN is shorter than 16 characters: it can be guessed");
    const broker = await openBroker(config, database, logger);
    started.broker = broker;
    const fleet = await openFleet({ broker: broker.access, db: database.db, clock: systemClock, logger });
    started.fleet = fleet;

    const ctx: Context = {
      db: database.db,
      config: { ...config, publicUrl: url },
      logger,
      clock: systemClock,
      fleet,
      mounts: createMounts({ fleet, logger }),
      links: createLinks(database.db, systemClock),
      actor: systemActor,
    };
    startReconcile(ctx, fleet);
    started.sweep = startSweep(ctx);
    // Made now rather than with the first mount.
    await ctx.links.signer();

    const health = async (): Promise<Health> => await checkHealth(database.db, () => fleet.isConnected());
    listener.use(createApp({ ctx, adminTokenSha256: hashSecret(adminToken), health, page: await readStaticFiles(pageFolder) }).fetch);
    await fleet.whenConnected(brokerWaitMs);
    logger.info({ url, broker: broker.access.url }, "the coordinator is ready");
    return {
      url: localUrl(config.host, listener.port),
      brokerUrl: broker.access.url,
      databaseUrl: database.url,
      ensureAgent: async (input) => await ensureAgent(database.db, { ...input, now: systemClock.now() }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Started {
  listener?: Listener;
  database?: PreparedDatabase;
  broker?: { close(): Promise<void> };
  fleet?: OpenFleet;
  sweep?: Sweep;
}

/** From the outside in: nobody asks any more, nothing works any more, then the database goes. */
async function closeAll(started: Started, logger: Logger): Promise<void> {
  const { listener, database, broker, fleet, sweep } = started;
  for (const part of Object.keys(started) as (keyof Started)[]) delete started[part];
  await closeStep(logger, "http", closeGraceMs * 2, async () => await listener?.close(closeGraceMs));
  await Promise.all([
    closeStep(logger, "sweep", closeFleetMs, async () => await sweep?.stop()),
    closeStep(logger, "fleet", closeFleetMs, async () => await fleet?.close()),
    closeStep(logger, "broker", closeFleetMs, async () => await broker?.close()),
  ]);
  await closeStep(logger, "database", closeDatabaseMs, async () => await database?.close());
}

/** An outside broker that is away does not keep the coordinator from answering what needs no agent. */
const brokerWaitMs = 5000;

async function openBroker(config: CoordinatorConfig, database: PreparedDatabase, logger: Logger): Promise<{ access: FleetOptions["broker"]; close: () => Promise<void> }> {
  if (config.brokerUrl !== undefined) {
    return { access: { url: config.brokerUrl, username: config.brokerUsername, password: config.brokerPassword }, close: async () => undefined };
  }
  const password = newSecret("");
  const broker = await startBroker({
    host: config.brokerHost,
    port: config.brokerPort,
    coordinatorPassword: password,
    verifyAgent: async (agentId, given) => await verifyAgentPassword(database.db, agentId, given),
    onWarning: (message, details) => logger.warn(details, message),
  });
  return { access: { url: broker.url, username: coordinatorUsername, password }, close: broker.close };
}

/** Until the database is there. */
function startingApp() {
  const app = createRouter();
  app.get("/healthz", (c) => c.json({ status: "starting", database: false, broker: false } satisfies Health, 503));
  app.all("*", (c) => problemResponse(c, new PluckError("database_unavailable", "The coordinator is starting.", { retryAfterS: 2 }), undefined));
  return app;
}

async function closeStep(logger: Logger, name: string, limitMs: number, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), limitMs);
  });
  try {
    if ((await Promise.race([work().then(() => "done" as const), late])) === "late") logger.warn({ step: name }, "did not stop in time");
  } catch (error) {
    logger.warn({ err: error, step: name }, "did not stop cleanly");
  } finally {
    clearTimeout(timer);
  }
}

function localUrl(host: string, port: number): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  return `http://${reachable}:${String(port)}`;
}
