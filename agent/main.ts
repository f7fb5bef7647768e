import { z } from "zod";
import { startAgent } from "./agent.ts";
import { parseAgentConfig } from "./config.ts";
import { createLogger } from "./log.ts";

/** `npm run agent`: one agent, configured by the environment. */
const exitConfiguration = 78;

const parsed = parseAgentConfig(process.env);
if (!parsed.success) {
  process.stderr.write(`The agent's configuration is not valid:\n${z.prettifyError(parsed.error)}\n`);
  process.exit(exitConfiguration);
}
const config = parsed.data;
const logger = createLogger(config.PLUCK_LOG_LEVEL);

let signals = 0;
let stop: (() => Promise<void>) | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    signals += 1;
    if (signals > 1) process.exit(1);
    logger.info({ signal }, "stopping");
    if (stop !== undefined) void finish(stop);
  });
}

async function finish(close: () => Promise<void>): Promise<never> {
  let exitCode = 0;
  try {
    await close();
  } catch (error) {
    logger.error({ err: error }, "could not stop cleanly");
    exitCode = 1;
  }
  process.exit(exitCode);
}

try {
  const agent = await startAgent(config, { logger });
  stop = agent.close;
  if (signals > 0) await finish(agent.close);
} catch (error) {
  logger.fatal({ err: error }, "the agent could not start");
  process.exit(1);
}
