import type { Worker } from "node:worker_threads";

export interface WatchdogOptions {
  /** Processor time that a worker may use without answering; default 10 s. */
  readonly timeoutMs?: number;
  /** How often it is asked; default 1 s. */
  readonly intervalMs?: number;
  /** Bytes outside the JavaScript heap (buffers) that a worker may hold; default 512 MiB. */
  readonly maxExternalBytes?: number;
}

const defaultTimeoutMs = 10_000;
const defaultIntervalMs = 1000;
const defaultMaxExternalBytes = 512 * 1024 * 1024;
/** A worker whose loop is busy but that can't even tell its processor time is ended after so many timeouts of real time. */
const unmeasuredFactor = 6;

export interface Watchdog {
  /** Begins; loading the worker's modules, which no disk has a part in, doesn't count. */
  start(): void;
  /** The ping was answered. */
  answered(): void;
  stop(): void;
}

/**
 * Watches over a worker: one that is busy and answers no ping any more, or that holds too many bytes,
 * is reported once. What counts is the processor time that the worker itself has used since the
 * ping, so that a machine under load, on which it hardly gets to run, ends nobody.
 */
export function watchWorker(worker: Worker, options: WatchdogOptions, onLost: (reason: string) => void): Watchdog {
  const { timeoutMs = defaultTimeoutMs, intervalMs = defaultIntervalMs, maxExternalBytes = defaultMaxExternalBytes } = options;
  let ping: { readonly sentAt: number; cpu: NodeJS.CpuUsage | undefined; readonly loop: ReturnType<Worker["performance"]["eventLoopUtilization"]> } | undefined;
  let stopped = false;

  const lose = (reason: string) => {
    if (stopped) return;
    stop();
    onLost(reason);
  };

  // Both are answered by the thread itself between two steps of JavaScript, also in an endless loop.
  const checkMemory = async () => {
    const { external_memory } = await worker.getHeapStatistics();
    if (external_memory > maxExternalBytes) {
      lose(`held ${Math.round(external_memory / 2 ** 20)} MiB of buffers, more than the ${Math.round(maxExternalBytes / 2 ** 20)} MiB it may`);
    }
  };
  const checkProcessor = async (unanswered: NonNullable<typeof ping>) => {
    const cpu = await worker.cpuUsage();
    if (ping !== unanswered) return;
    if (unanswered.cpu === undefined) {
      unanswered.cpu = cpu;
      return;
    }
    const usedMs = (cpu.user + cpu.system - unanswered.cpu.user - unanswered.cpu.system) / 1000;
    if (usedMs >= timeoutMs) lose(`stopped answering: it was busy for ${(usedMs / 1000).toFixed(1)} s`);
  };
  const quietly = (check: Promise<void>) => void check.catch(() => undefined);

  const beat = () => {
    quietly(checkMemory());
    if (ping === undefined) {
      ping = { sentAt: performance.now(), cpu: undefined, loop: worker.performance.eventLoopUtilization() };
      worker.postMessage({ kind: "ping" });
      return;
    }
    quietly(checkProcessor(ping));
    const { active } = worker.performance.eventLoopUtilization(ping.loop);
    if (active >= timeoutMs * unmeasuredFactor) lose(`stopped answering for ${(active / 1000).toFixed(1)} s`);
  };

  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    stopped = true;
    clearInterval(timer);
  };
  return {
    start: () => {
      if (!stopped) timer = setInterval(beat, intervalMs).unref();
    },
    answered: () => (ping = undefined),
    stop,
  };
}
