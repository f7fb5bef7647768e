import { setTimeout as sleep } from "node:timers/promises";

const firstPauseMs = 15;
const lastPauseMs = 250;

/**
 * Asks until the answer is not undefined, in growing pauses.
 * @returns undefined when the time is up
 */
export async function poll<T>(ask: () => Promise<T | undefined>, timeoutMs: number): Promise<T | undefined> {
  const until = performance.now() + timeoutMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(lastPauseMs, pauseMs * 1.5)) {
    const answer = await ask();
    const leftMs = until - performance.now();
    if (answer !== undefined || leftMs <= 0) return answer;
    await sleep(Math.min(pauseMs, leftMs));
  }
}
