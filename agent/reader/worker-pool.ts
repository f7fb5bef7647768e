import { PluckError } from "../../shared/errors.ts";
import type { NodeError } from "./disk-reader.ts";
import type { OpenDiskRequest, SiblingSocket } from "./protocol.ts";
import { ReaderWorker } from "./reader-worker.ts";
import type { WatchdogOptions } from "./watchdog.ts";
import { WorkerDisk } from "./worker-disk.ts";

export interface WorkerPoolOptions {
  /** Workers kept started, so that opening a disk doesn't wait for one; default 2: people open a VM's disks one after the other, and a restore point beside the one before. */
  readonly spareWorkers?: number;
  readonly watchdog?: WatchdogOptions;
  /** The worker's module; default the one beside this file. */
  readonly entry?: URL;
}

/** Volumes of one disk that may each cost a worker before the whole disk is given up. */
const maxLostOpening = 4;
/** A spare is started only after the disk that took the last one is open: both would want the processor. */
const refillDelayMs = 200;
/** For the same reason it waits while readers are at work, as just after a mount, but no longer than this. */
const maxRefillWaitMs = 3000;
/** Between two pages of a listing a reader has nothing to do for less than this. */
const quietMs = 150;

/** Starts reader workers, some of them ahead. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #entry: URL;
  readonly #spares: ReaderWorker[] = [];
  readonly #used = new Set<ReaderWorker>();
  #refill: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WorkerPoolOptions = {}) {
    this.#options = options;
    this.#entry = options.entry ?? new URL("./worker.ts", import.meta.url);
    this.#fill();
  }

  /** Resolves when the spares can be used at once. */
  async ready(): Promise<void> {
    await Promise.all(this.#spares.map((spare) => spare.ready));
  }

  /**
   * Opens a disk in a worker of its own. Where opening it costs the worker, the disk is opened again
   * without the volume that is to blame, which is then listed as unreadable. `siblings` opens the other disks of
   * the backup, called when the reader finds that it needs them, again for each worker; it never rejects.
   */
  async open(
    request: Pick<OpenDiskRequest, "socketPath" | "diskId"> & { readonly siblings?: () => Promise<readonly SiblingSocket[]> },
    signal?: AbortSignal,
  ): Promise<WorkerDisk> {
    const { socketPath, diskId, siblings } = request;
    const skip: [string, NodeError][] = [];
    for (let attempt = 0; ; attempt += 1) {
      signal?.throwIfAborted();
      const worker = this.#take();
      const onAbort = () => void worker.close();
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        return new WorkerDisk(worker, await worker.open({ socketPath, diskId, hasSiblings: siblings !== undefined, oneByOne: attempt > 0, skip }, siblings));
      } catch (error) {
        const lost = worker.lost.aborted && !worker.closed;
        await worker.close();
        signal?.throwIfAborted();
        if (!lost || !(error instanceof PluckError) || attempt >= maxLostOpening) throw error;
        const { openingVolume } = worker;
        if (attempt > 0 && openingVolume === undefined) throw error;
        if (openingVolume !== undefined) skip.push([openingVolume, { code: "corrupt", detail: error.message }]);
      } finally {
        signal?.removeEventListener("abort", onAbort);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#refill);
    await Promise.all(this.#spares.splice(0).map((spare) => spare.close()));
  }

  #take(): ReaderWorker {
    if (this.#closed) throw new PluckError("internal", "The agent is stopping.");
    let worker = this.#spares.shift();
    while (worker !== undefined && worker.lost.aborted) worker = this.#spares.shift();
    this.#refillAfter(performance.now());
    const taken = worker ?? this.#start();
    this.#used.add(taken);
    return taken;
  }

  /** @param takenAt when a spare was taken, by performance.now() */
  #refillAfter(takenAt: number): void {
    this.#refill ??= setTimeout(() => {
      this.#refill = undefined;
      for (const worker of this.#used) if (worker.lost.aborted) this.#used.delete(worker);
      const now = performance.now();
      const isBusy = [...this.#used].some((worker) => worker.isBusy || now - worker.lastUsedAt < quietMs);
      if (isBusy && now - takenAt < maxRefillWaitMs) this.#refillAfter(takenAt);
      else this.#fill();
    }, refillDelayMs).unref();
  }

  #fill(): void {
    const { spareWorkers = 2 } = this.#options;
    while (!this.#closed && this.#spares.length < spareWorkers) this.#spares.push(this.#start());
  }

  #start(): ReaderWorker {
    return new ReaderWorker(this.#entry, this.#options.watchdog ?? {});
  }
}
