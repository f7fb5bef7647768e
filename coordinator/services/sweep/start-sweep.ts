import type { Context } from "../../context.ts";
import { sweepMounts } from "./sweep-mounts.ts";

export interface Sweep {
  /** Resolves when a run that is under way has ended. */
  stop(): Promise<void>;
}

/** Runs the sweep every `sweepIntervalS`, one run at a time; an error is logged and the next run comes. */
export function startSweep(ctx: Context): Sweep {
  const intervalMs = ctx.config.sweepIntervalS * 1000;
  let running: Promise<void> = Promise.resolve();
  let isStopped = false;
  let timer: NodeJS.Timeout;

  const run = async (): Promise<void> => {
    try {
      const ended = await sweepMounts({ ctx, input: undefined });
      if (ended > 0) ctx.logger.info({ ended }, "the sweep ended mounts");
    } catch (error) {
      ctx.logger.warn({ err: error }, "the sweep failed");
    }
    ctx.mounts.sweep.lastRunAt = ctx.clock.now();
    if (!isStopped) schedule();
  };
  const schedule = (): void => {
    ctx.mounts.sweep.nextRunAt = new Date(ctx.clock.now().getTime() + intervalMs);
    timer = setTimeout(() => {
      running = run();
    }, intervalMs);
  };
  schedule();
  return {
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
