import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { ConfigurationError, parseConfig, type CoordinatorConfig } from "../coordinator/config.ts";
import { startCoordinator, type Coordinator } from "../coordinator/coordinator.ts";
import { createLogger } from "../coordinator/logger/create-logger.ts";
import { buildDemoRepository } from "./demo/build-repository.ts";
import { runAgent, type AgentProcess } from "./start/agent-process.ts";
import { apiClient } from "./start/api-client.ts";
import { hints } from "./start/hints.ts";
import { assertFolder, freePortOr0, readIfThere, StartError, takeHome, type Home } from "./start/home.ts";
import { localAgentId, registerDemo, scanRepository, waitUntilOnline, type Site } from "./start/site.ts";

// npm start: everything on one machine. The coordinator (with database and broker) in this process,
// one agent in a process of its own, on the user's repository or on a demo one. stdout carries the
// ready line and what to try; logs go to stderr.

const agentOnlineTimeoutMs = 30_000;
const agentStopGraceMs = 5000;
/** Whatever hangs: everything is stopped by then. */
const stopTimeoutMs = 9500;

interface Running {
  home?: Home;
  coordinator?: Coordinator;
  agent?: AgentProcess;
}

const running: Running = {};
const stopping = new AbortController();

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // The second one: who asks again wants it now. The kernel tells our children.
    if (stopping.signal.aborted) process.exit(1);
    stopping.abort(new StartError(`stopped by ${signal}`));
  });
}

try {
  await start();
  await aborted(stopping.signal);
  process.exit(await stop());
} catch (error) {
  const isAskedFor = stopping.signal.aborted;
  if (!isAskedFor) process.stderr.write(`pluck: ${explain(error)}\n`);
  stopping.abort();
  const code = await stop();
  process.exit(isAskedFor ? code : error instanceof ConfigurationError ? 78 : 1);
}

async function start(): Promise<void> {
  const config = await configure();
  const home = await takeHome(config.home);
  running.home = home;
  const logger = createLogger(config.logLevel);
  const site = await chooseSite(config);
  const isDemo = site.repositoryId === "demo";

  const coordinator = await startCoordinator(config, { logger });
  running.coordinator = coordinator;
  stopping.signal.throwIfAborted();
  const password = randomBytes(24).toString("base64url");
  await coordinator.ensureAgent({ id: localAgentId, repositoryId: site.repositoryId, repositoryName: site.repositoryName, password });
  if (isDemo) await prepareDemo(site, logger);
  stopping.signal.throwIfAborted();

  const agentStartedAt = new Date();
  running.agent = runAgent(agentEnvironment(config, coordinator, site, password), logger);
  const tokenFile = join(home.path, "admin-token");
  const token = config.adminToken ?? (await readIfThere(tokenFile))?.trim() ?? "";
  const api = apiClient(coordinator.url, token);
  await waitUntilOnline(api, agentStartedAt, agentOnlineTimeoutMs, stopping.signal);
  if (isDemo) await registerDemo(api, home.path);
  else {
    const { registered, already_known, problems } = await scanRepository(api, site);
    logger.info({ repository: site.repositoryPath, registered: registered.length, already_known }, "scanned the repository");
    for (const problem of problems) logger.warn(problem, "a file of the repository can't be used");
  }
  stopping.signal.throwIfAborted();
  process.stdout.write(`pluck is ready at ${coordinator.url}/\n${hints(coordinator.url, config.adminToken === undefined ? tokenFile : undefined, isDemo)}`);
}

async function configure(): Promise<CoordinatorConfig> {
  const config = parseConfig(process.env);
  // A broker port that nobody named gives way: another broker may hold the usual one.
  if (config.brokerUrl !== undefined || (process.env["PLUCK_BROKER_PORT"] ?? "") !== "") return config;
  return { ...config, brokerPort: await freePortOr0(config.brokerPort, config.brokerHost) };
}

async function chooseSite(config: CoordinatorConfig): Promise<Site> {
  const given = process.env["PLUCK_REPOSITORY"] ?? "";
  if (given === "") return { repositoryId: "demo", repositoryName: "Demo repository", repositoryPath: join(config.home, "demo-repository") };
  const repositoryPath = resolve(given);
  await assertFolder(repositoryPath, "PLUCK_REPOSITORY");
  return { repositoryId: "local", repositoryName: "Repository on this machine", repositoryPath };
}

async function prepareDemo(site: Site, logger: Logger): Promise<void> {
  const begunAt = Date.now();
  if (await buildDemoRepository(site.repositoryPath)) logger.info({ folder: site.repositoryPath, duration_ms: Date.now() - begunAt }, "built the demo repository");
}

/** What the agent needs of our environment, and nothing secret but its own password. */
function agentEnvironment(config: CoordinatorConfig, coordinator: Coordinator, site: Site, password: string): Record<string, string> {
  const passedOn = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && (/^(PATH|HOME|LANG|LC_ALL|TMPDIR|TZ|NODE_ENV|NODE_OPTIONS)$/.test(entry[0]) || /^PLUCK_(AGENT_|NBD_|IDLE_|HEARTBEAT_|LOG_)/.test(entry[0])),
  );
  const isOwnBroker = config.brokerUrl === undefined;
  return {
    // On one machine a heartbeat costs nothing, and what it tells is known sooner.
    PLUCK_HEARTBEAT_S: "1",
    ...Object.fromEntries(passedOn),
    PLUCK_HOME: config.home,
    PLUCK_AGENT_ID: localAgentId,
    PLUCK_REPOSITORY_ID: site.repositoryId,
    PLUCK_REPOSITORY: site.repositoryPath,
    PLUCK_BROKER_URL: coordinator.brokerUrl,
    // An outside broker has users of its own; without an agent's own ones it is met as the coordinator.
    PLUCK_BROKER_USERNAME: isOwnBroker ? localAgentId : (process.env["PLUCK_AGENT_BROKER_USERNAME"] ?? config.brokerUsername ?? ""),
    PLUCK_BROKER_PASSWORD: isOwnBroker ? password : (process.env["PLUCK_AGENT_BROKER_PASSWORD"] ?? config.brokerPassword ?? ""),
  };
}

/** @returns the exit code: 0 when everything stopped in order */
async function stop(): Promise<number> {
  const { agent, coordinator, home } = running;
  const timer = setTimeout(() => process.exit(1), stopTimeoutMs);
  try {
    // The agent first: it says goodbye over the broker, and ends its transfers and processes.
    await agent?.stop(agentStopGraceMs);
    await coordinator?.close();
    home?.release();
    return 0;
  } catch (error) {
    process.stderr.write(`pluck: while stopping: ${explain(error)}\n`);
    return 1;
  } finally {
    clearTimeout(timer);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
}

function explain(error: unknown): string {
  if (error instanceof StartError || error instanceof ConfigurationError) return error.message;
  const { code, port } = error as { code?: string; port?: number };
  if (code === "EADDRINUSE") return `port ${port ?? ""} is in use by another program; choose another by PLUCK_PORT (0 takes a free one)`;
  return error instanceof Error ? error.message : String(error);
}
