import { chmod, mkdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { openBrokerLink } from "./commands/broker-link.ts";
import type { AgentConfig } from "./config.ts";
import { endOrphans } from "./export/orphans.ts";
import { createAgentApp } from "./http/app.ts";
import { createAgentMetrics } from "./http/metrics.ts";
import { listenForClients } from "./http/server.ts";
import { createLogger } from "./log.ts";
import { createOpenMounts } from "./mounts/open-mounts.ts";
import type { AgentEvent } from "../shared/messages.ts";

export interface RunningAgent {
  /** Where clients reach it. */
  readonly url: string;
  readonly isConnected: () => boolean;
  /** Ends transfers, mounts and processes; within 8 s, whatever hangs. */
  readonly close: () => Promise<void>;
}

/** What running transfers get to finish when the agent stops. */
const transferGraceMs = 2000;
/** After this the rest is left to the next start, which ends what this one left. */
const closeTimeoutMs = 7500;

/** Starts an agent; the broker may be away, it is tried for ever. */
export async function startAgent(config: AgentConfig, given: { readonly logger?: Logger } = {}): Promise<RunningAgent> {
  const logger = given.logger ?? createLogger(config.PLUCK_LOG_LEVEL);
  const repositoryRoot = resolve(config.PLUCK_REPOSITORY);
  const runDir = resolve(config.PLUCK_AGENT_RUN_DIR ?? join(config.PLUCK_HOME, "agent"));
  await mkdir(runDir, { recursive: true, mode: 0o700 });
  await chmod(runDir, 0o700);
  const orphans = await endOrphans(runDir);
  if (orphans > 0) logger.warn({ orphans }, "ended processes that an earlier agent left");

  const mounts = createOpenMounts({ repositoryRoot, runDir, slots: config.PLUCK_NBD_SLOTS, logger });
  // Transfers can end before there is a link to report them by.
  const early: AgentEvent[] = [];
  let report = (event: AgentEvent): void => void early.push(event);
  const app = createAgentApp({
    agentId: config.PLUCK_AGENT_ID, mounts, logger, metrics: createAgentMetrics(mounts), report: (event) => report(event),
  });
  try {
    const password = await brokerPassword(config);
    const server = await listenForClients(app, { host: config.PLUCK_AGENT_HOST, port: config.PLUCK_AGENT_PORT });
    const url = config.PLUCK_AGENT_PUBLIC_URL ?? `http://${urlHost(config.PLUCK_AGENT_HOST)}:${server.port}`;
    const link = openBrokerLink({
      url: config.PLUCK_BROKER_URL,
      username: config.PLUCK_BROKER_USERNAME ?? config.PLUCK_AGENT_ID,
      password,
      agentId: config.PLUCK_AGENT_ID,
      repositoryId: config.PLUCK_REPOSITORY_ID,
      repositoryRoot, publicUrl: url, version: await productVersion(), mounts, logger,
      heartbeatS: config.PLUCK_HEARTBEAT_S,
      idleTimeoutS: config.PLUCK_IDLE_TIMEOUT_S,
    });
    report = link.report;
    for (const event of early.splice(0)) report(event);
    logger.info({ agent_id: config.PLUCK_AGENT_ID, public_url: url, port: server.port, slots: mounts.slots }, "agent ready");
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await server.close(mounts.list().some((mount) => mount.transfers > 0) ? transferGraceMs : 0);
      // Every transfer has ended by now and was reported; the goodbye and the disks don't wait for each other.
      await Promise.all([link.close(), mounts.close()]);
      logger.info("agent stopped");
    };
    return {
      url,
      isConnected: link.isConnected,
      close: async () => {
        closing ??= withTimeout(close(), closeTimeoutMs, () => logger.error({ timeout_ms: closeTimeoutMs }, "the agent did not stop in time"));
        await closing;
      },
    };
  } catch (error) {
    await mounts.close();
    throw error;
  }
}

async function brokerPassword(config: AgentConfig): Promise<string | undefined> {
  if (config.PLUCK_BROKER_PASSWORD !== undefined) return config.PLUCK_BROKER_PASSWORD;
  if (config.PLUCK_BROKER_PASSWORD_FILE === undefined) return undefined;
  return (await readFile(config.PLUCK_BROKER_PASSWORD_FILE, "utf8")).trim();
}

async function productVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}

/** A wildcard address is none that a client could call. */
function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

async function withTimeout(work: Promise<void>, timeoutMs: number, onTimeout: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      onTimeout();
      resolve();
    }, timeoutMs);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
