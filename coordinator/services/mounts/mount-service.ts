import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import type { Fleet, Mounts, MountTimings } from "../../context.ts";
import { eachOf } from "./each-of.ts";

export const defaultTimings: MountTimings = {
  mountTimeoutMs: 120_000,
  unmountTimeoutMs: 10_000,
  claimMs: 15_000,
  strayConfirmMs: 1500,
};

/** A mount that falls out is told its key once more. */
const maxSentKeys = 10_000;

export interface MountServiceOptions {
  readonly fleet: Fleet;
  readonly logger: Logger;
  readonly timings?: Partial<MountTimings>;
}

/** What the mounts' verbs share within one process; the state itself is in the database. */
export function createMounts({ fleet, logger, timings = {} }: MountServiceOptions): Mounts {
  const running = new Map<string, Promise<unknown>>();
  const merged = { ...defaultTimings, ...timings };
  return {
    timings: merged,
    sentKeys: new LRUCache<string, string>({ max: maxSentKeys }),
    sweep: { lastRunAt: null, nextRunAt: null },
    once: <T>(key: string, run: () => Promise<T>) => {
      const current = running.get(key);
      if (current !== undefined) return { outcome: current as Promise<T>, first: false };
      const outcome = run().finally(() => running.delete(key));
      running.set(key, outcome);
      return { outcome, first: true };
    },
    endDeleted: async (mounts) => {
      await eachOf(mounts, 8, async ({ mountId, agentId }) => {
        if (!fleet.isOnline(agentId)) return;
        try {
          await fleet.call(agentId, "unmount", { mount_id: mountId }, { timeoutMs: merged.unmountTimeoutMs });
        } catch (error) {
          logger.warn({ err: error, mountId, agentId }, "could not end the mount of a deleted backup; the next heartbeat does");
        }
      });
    },
  };
}
