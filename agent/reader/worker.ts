// The entry of a reader's worker thread: one thread a disk, which it reaches through NBD and nothing else.
import { parentPort } from "node:worker_threads";
import { memorySource } from "../blocks/memory-source.ts";
import { openNbd } from "../nbd/nbd-source.ts";
import { openDisk, type SiblingDisk } from "./disk.ts";
import type { SiblingSocket } from "./protocol.ts";
import { serveDisk } from "./serve.ts";

if (parentPort === null) throw new Error("reader/worker.ts runs only as a worker thread");

serveDisk(parentPort, async ({ socketPath, diskId, hasSiblings, oneByOne, skip }, onOpening, askForSiblings) => {
  const source = await openNbd({ socketPath });
  const siblings = async (): Promise<SiblingDisk[]> => await Promise.all((await askForSiblings()).map(openSibling));
  return openDisk(source, { diskId, skip: new Map(skip), ...(hasSiblings ? { siblings } : {}), ...(oneByOne ? { onOpening } : {}) });
});

async function openSibling({ name, socketPath, diskId }: SiblingSocket): Promise<SiblingDisk> {
  try {
    return { name, diskId, source: socketPath === undefined ? undefined : await openNbd({ socketPath }) };
  } catch {
    // The volumes that need it say that it was not opened.
    return { name, diskId, source: undefined };
  }
}

// A spare worker has time: looking for volumes once, on an empty disk, has the code compiled when a real one comes
// (measured: 10 ms the first time, 1 ms after).
await openDisk(memorySource(new Uint8Array(1024 * 1024)), { diskId: "" });
