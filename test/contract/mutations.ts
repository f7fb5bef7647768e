import { statSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import type { MutationJob, MutationReport } from "./mutation-worker.ts";

/** Images above this are not copied into memory to be damaged. */
const MAX_IMAGE_BYTES = 128 * 1024 * 1024;
/** PLUCK_MUTATIONS=5000 for a long run, PLUCK_MUTATION_SEED to repeat or vary it. */
const mutationCount = Number(process.env["PLUCK_MUTATIONS"] ?? 60);
const seed = Number(process.env["PLUCK_MUTATION_SEED"] ?? 1);
/** One damaged image may take this long; the reader's own bounds must end it well before. */
const STALL_MS = 15_000;
/** Heap of the worker beyond the image itself: an allocation from a hostile length must not pass. */
const MAX_HEAP_MB = 256;

/** Damages the image again and again, in a worker that may be killed: no hang, no crash, no error without a type. */
export function describeMutations(imagePath: () => string): void {
  describe("when the image is damaged", () => {
    test(`gives data or a typed error, in time and within memory (${mutationCount} times, seed ${seed})`, { timeout: 600_000 }, async ({ skip }) => {
      const path = imagePath();
      if (statSync(path).size > MAX_IMAGE_BYTES) skip(`passed over: larger than ${MAX_IMAGE_BYTES} bytes`);
      const reports = await run({ path, seed, count: mutationCount });
      expect(reports.filter((report) => report.failure !== undefined)).toEqual([]);
      expect(reports).toHaveLength(mutationCount);
    });
  });
}

async function run(job: MutationJob): Promise<MutationReport[]> {
  const worker = new Worker(new URL("./mutation-worker.ts", import.meta.url), {
    workerData: job,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const reports: MutationReport[] = [];
  try {
    return await new Promise((resolve, reject) => {
      let current = "nothing yet";
      const stalled = (): void => reject(new Error(`no progress in ${STALL_MS} ms after: ${current}`));
      let timer = setTimeout(stalled, STALL_MS);
      worker.on("message", (message: MutationReport | { starting: string }) => {
        clearTimeout(timer);
        timer = setTimeout(stalled, STALL_MS);
        if ("starting" in message) current = message.starting;
        else reports.push(message);
      });
      worker.on("error", (error) => {
        clearTimeout(timer);
        reject(new Error(`the worker died at: ${current}`, { cause: error }));
      });
      worker.on("exit", () => {
        clearTimeout(timer);
        resolve(reports);
      });
    });
  } finally {
    await worker.terminate();
  }
}
