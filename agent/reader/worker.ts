// The entry of a reader's worker thread: one thread a disk, which it reaches through NBD and nothing else.
import { parentPort } from "node:worker_threads";
import { openNbd } from "../nbd/nbd-source.ts";
import { openDisk } from "./disk.ts";
import { serveDisk } from "./serve.ts";

if (parentPort === null) throw new Error("reader/worker.ts runs only as a worker thread");

serveDisk(parentPort, async ({ socketPath, diskId, oneByOne, skip }, onOpening) => {
  const source = await openNbd({ socketPath });
  return openDisk(source, { diskId, skip: new Map(skip), ...(oneByOne ? { onOpening } : {}) });
});
