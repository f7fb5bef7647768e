import { describe, expect, it } from "vitest";
import { runPool } from "./pool.ts";

async function* numbers(length: number): AsyncGenerator<number> {
  for (let index = 0; index < length; index += 1) yield index;
}

const never = new AbortController().signal;

describe("a pool", () => {
  it("does everything once, so many at a time", async () => {
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await runPool(numbers(25_000), 4, async (item) => {
      running += 1;
      most = Math.max(most, running);
      if (item % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
      done.push(item);
      running -= 1;
    }, never);
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 25_000 }, (_, index) => index));
    expect(most).toBe(4);
  });

  it("ends with the first error, when what ran has ended", async () => {
    const ended: number[] = [];
    const work = runPool(numbers(100), 3, async (item) => {
      if (item === 5) throw new Error("five");
      await new Promise((resolve) => setImmediate(resolve));
      ended.push(item);
    }, never);
    await expect(work).rejects.toThrow("five");
    const then = ended.length;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(ended.length).toBe(then);
    expect(then).toBeLessThan(20);
  });

  it("throws what its producer threw, and ends on a signal", async () => {
    await expect(runPool((async function* () { yield 1; throw new Error("producer"); })(), 2, async () => undefined, never)).rejects.toThrow("producer");
    const stop = new AbortController();
    const waiting = runPool((async function* () { yield 1; await new Promise((resolve) => stop.signal.addEventListener("abort", resolve)); })(), 2, async () => undefined, stop.signal);
    stop.abort(new Error("stopped"));
    await expect(waiting).rejects.toThrow("stopped");
  });
});
