import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { startPrivateMariadb, type PrivateMariadbOptions } from "./private-mariadb.ts";

export interface KeptMariadb {
  /** The same after a restart. */
  readonly url: string;
  stop(): Promise<void>;
}

const firstPauseMs = 200;
const maxPauseMs = 10_000;
const stopGraceMs = 4000;

/** A private MariaDB that is started again when it ends unasked. */
export async function keepPrivateMariadb(folder: string, options: PrivateMariadbOptions & { logger: Logger }): Promise<KeptMariadb> {
  const { logger } = options;
  let server = await startPrivateMariadb(folder, options);
  const stopping = new AbortController();

  const keep = async (): Promise<void> => {
    let pauseMs = firstPauseMs;
    while (!stopping.signal.aborted) {
      await server.ended;
      if (stopping.signal.aborted) return;
      logger.error({ pid: server.pid }, "the private database ended unasked; starting it again");
      try {
        server = await startPrivateMariadb(folder, options);
        pauseMs = firstPauseMs;
        logger.info({ pid: server.pid }, "the private database runs again");
      } catch (error) {
        logger.error({ err: error, retryInMs: pauseMs }, "the private database does not start");
        await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, maxPauseMs);
      }
    }
  };
  const kept = keep();
  return {
    url: server.url,
    stop: async () => {
      stopping.abort();
      await server.stop({ graceMs: stopGraceMs });
      await kept;
      // One that was being started when the end came.
      await server.stop({ graceMs: stopGraceMs });
    },
  };
}
