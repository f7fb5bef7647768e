import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { cached } from "../../agent/blocks/cached.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import { detectFileSystem } from "../../agent/filesystems/registry.ts";
import { mutateImage, nonZeroSectors } from "../tools/mutate-image.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";

export interface MutationJob {
  readonly path: string;
  readonly seed: number;
  readonly count: number;
}

export interface MutationReport {
  readonly mutation: string;
  /** What a reader must never do: anything but data and DiskErrors. */
  readonly failure?: string;
}

/** Buffers are outside the heap that the worker is limited to: what a walk may leave behind uncollected. */
const MAX_BUFFER_BYTES = 512 * 1024 * 1024;

const job = workerData as MutationJob;
const image = readFileSync(job.path);
const sectors = nonZeroSectors(image);
const driver = await detectFileSystem(memorySource(image));
if (driver === undefined) throw new Error(`${job.path}: no reader recognises it`);

for (let round = 0; round < job.count; round += 1) {
  const mutation = mutateImage(image, sectors, new Random(job.seed * 1_000_003 + round));
  const description = `round ${round}: ${mutation.description}`;
  parentPort!.postMessage({ starting: description });
  let failure: string | undefined;
  try {
    const fs = await driver.open(cached(memorySource(image)));
    await walkFileSystem(fs, { maxEntries: 2000, maxContentBytes: 4 * 1024 * 1024 });
  } catch (error) {
    if (!(error instanceof DiskError)) failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const { arrayBuffers } = process.memoryUsage();
  if (arrayBuffers > image.length + MAX_BUFFER_BYTES) failure ??= `${arrayBuffers} bytes of buffers`;
  parentPort!.postMessage({ mutation: description, ...(failure === undefined ? {} : { failure }) } satisfies MutationReport);
  mutation.undo();
}
