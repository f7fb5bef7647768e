import { ConfigurationError, parseConfig } from "./config.ts";
import { startCoordinator, type Coordinator } from "./coordinator.ts";
import { createLogger } from "./logger/create-logger.ts";

/** `npm run coordinator`: a coordinator alone, configured by its environment. Exit 78: the configuration is wrong. */
async function main(): Promise<void> {
  const config = parseConfig(process.env);
  const logger = createLogger(config.logLevel);
  let coordinator: Coordinator | undefined;
  let isStopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    logger.info({ signal }, "stopping");
    // A start that has not finished is left to the process's end: its database dies with it.
    if (coordinator === undefined) process.exit(1);
    coordinator.close().then(() => process.exit(0), () => process.exit(1));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  coordinator = await startCoordinator(config, { logger });
  process.stdout.write(`the coordinator is ready at ${coordinator.url}/ (broker ${coordinator.brokerUrl})\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigurationError ? 78 : 1);
}
