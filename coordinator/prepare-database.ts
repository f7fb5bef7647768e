import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { CoordinatorConfig } from "./config.ts";
import { connectDatabase, databaseErrorCode, isDatabaseUnavailable, type DatabaseConnection } from "./database/connect.ts";
import { keepPrivateMariadb } from "./database/keep-mariadb.ts";
import { migrateUp } from "./database/migrate.ts";

export interface PreparedDatabase extends DatabaseConnection {
  readonly url: string;
}

const firstPauseMs = 250;
const maxPauseMs = 5000;

/** The database of the configuration, its schema up to date; a private one is started where no URL is given. */
export async function prepareDatabase(config: CoordinatorConfig, logger: Logger): Promise<PreparedDatabase> {
  const server = config.databaseUrl === undefined
    ? await keepPrivateMariadb(join(config.home, "database"), { logger, ...(config.fastDatabase === undefined ? {} : { fast: config.fastDatabase }) })
    : undefined;
  const url = config.databaseUrl ?? server?.url ?? "";
  try {
    await migrateWhenReachable(url, config.databaseWaitS * 1000, logger);
    const queryTimeoutMs = config.databaseTimeoutS * 1000;
    const onTimeout = (): void => logger.warn({ database: withoutPassword(url), timeoutMs: queryTimeoutMs }, "the database hangs: it did not answer in time, and a connection to it was given up");
    const connection = connectDatabase(url, { queryTimeoutMs, onTimeout });
    return {
      ...connection,
      url,
      close: async () => {
        await connection.close().catch((error: unknown) => logger.warn({ err: error }, "could not close the database's connections"));
        await server?.stop();
      },
    };
  } catch (error) {
    await server?.stop();
    throw error;
  }
}

/** Coordinators and databases are often started together: one that does not answer yet is waited for, and the log says so. */
async function migrateWhenReachable(url: string, waitMs: number, logger: Logger): Promise<void> {
  const deadline = Date.now() + waitMs;
  let pauseMs = firstPauseMs;
  for (;;) {
    try {
      const { done, warnings } = await migrateUp(url);
      if (done.length > 0) logger.info({ done }, "brought the database's schema up to date");
      for (const warning of warnings) logger.warn(warning);
      return;
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) {
        throw new Error(`the database at ${withoutPassword(url)} could not be reached within ${String(waitMs / 1000)} s (${databaseErrorCode(error) ?? "no answer"}); check PLUCK_DATABASE_URL and that it runs`, { cause: error });
      }
      logger.warn({ database: withoutPassword(url), reason: databaseErrorCode(error), giveUpInS: Math.round(leftMs / 1000) }, "the database does not answer yet; trying again");
      await sleep(Math.min(pauseMs, leftMs));
      pauseMs = Math.min(pauseMs * 2, maxPauseMs);
    }
  }
}

export function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.password = "";
  return parsed.href;
}
