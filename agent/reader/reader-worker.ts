import { Worker } from "node:worker_threads";
import { fromErrorBody, PluckError } from "../../shared/errors.ts";
import type { FromWorker, OpenDiskRequest, OpenedDisk, SiblingSocket, ToWorker } from "./protocol.ts";
import { watchWorker, type WatchdogOptions } from "./watchdog.ts";

/** Heap of one reader: what its bounded caches and a folder of a few million entries take. */
const maxHeapMb = 512;
const maxYoungHeapMb = 16;
/** Parsers don't recurse over disk data; this is Node's default, named. */
const stackMb = 4;

/** What a worker sends for one request. */
export interface Waiting {
  receive(message: Extract<FromWorker, { id: number }>): void;
  fail(error: PluckError): void;
}

/**
 * A worker thread that reads one disk, seen from the main thread. When it is lost (it stopped
 * answering, took too much memory, crashed) all its requests fail with `corrupt`, and `lost` aborts.
 */
export class ReaderWorker {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #lost = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #stopWatching: () => void;
  #nextId = 1;
  #lastUsedAt = 0;
  #opening: string | undefined;
  #siblings: (() => Promise<readonly SiblingSocket[]>) | undefined;
  #isReady = false;
  #closed = false;

  /** @param entry the worker's module */
  constructor(entry: URL, watchdog: WatchdogOptions) {
    this.#worker = new Worker(entry, {
      name: "reader",
      // A reader needs nothing of the agent's environment, which may hold secrets.
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: maxYoungHeapMb, stackSizeMb: stackMb },
    });
    // The agent ends when its own work is done, whatever its readers do.
    this.#worker.unref();
    const dog = watchWorker(this.#worker, watchdog, (reason) => this.#lose(reason));
    this.#stopWatching = dog.stop;
    this.#worker.on("message", (message: FromWorker) => {
      if (message.kind === "pong") dog.answered();
      else if (message.kind === "ready") dog.start();
      if (message.kind !== "pong") this.#receive(message);
    });
    this.#worker.on("error", (error) => {
      const memory = "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#lose(memory ? `needed more than ${maxHeapMb} MiB of memory` : `failed: ${error instanceof Error ? error.message : String(error)}`);
    });
    this.#worker.on("exit", (code) => this.#lose(`ended with code ${code}`));
    this.#ready.promise.catch(() => undefined);
  }

  /** Resolves when all modules are loaded. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Something asked of it is not answered yet. */
  get isBusy(): boolean {
    return this.#waiting.size > 0;
  }

  /** When it was last asked for something, by performance.now(). */
  get lastUsedAt(): number {
    return this.#lastUsedAt;
  }

  /** Aborts, with a PluckError as the reason, when the worker is gone before it was closed. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** While volumes are opened one by one: the one being opened. */
  get openingVolume(): string | undefined {
    return this.#opening;
  }

  /** @param siblings opens the other disks of the backup, should the reader ask for them */
  async open(request: OpenDiskRequest, siblings?: () => Promise<readonly SiblingSocket[]>): Promise<OpenedDisk> {
    this.#siblings = siblings;
    const opened = (await this.call((id) => ({ kind: "open", id, request }))) as OpenedDisk;
    this.#opening = undefined;
    return opened;
  }

  call(message: (id: number) => ToWorker): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.begin(message, {
        receive: (answer) => {
          if (answer.kind === "result") resolve(answer.value);
          else if (answer.kind === "error") reject(fromErrorBody(answer.error));
          else return;
          this.#waiting.delete(answer.id);
        },
        fail: reject,
      });
    });
  }

  /** Sends a request; `waiting` hears of all that comes back. @returns its id */
  begin(message: (id: number) => ToWorker, waiting: Waiting): number {
    const id = this.#nextId++;
    this.#lastUsedAt = performance.now();
    if (this.#lost.signal.aborted) waiting.fail(this.#lost.signal.reason);
    else {
      this.#waiting.set(id, waiting);
      this.send(message(id));
    }
    return id;
  }

  send(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    if (!this.#lost.signal.aborted) this.#worker.postMessage(message, transfer);
  }

  forget(id: number): void {
    this.#waiting.delete(id);
  }

  /** Ends the thread; what is still asked fails as a mount that is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#fail(new PluckError("mount_not_found", "The disk was closed."));
    await this.#worker.terminate();
  }

  #receive(message: Exclude<FromWorker, { kind: "pong" }>): void {
    if (message.kind === "ready") {
      this.#isReady = true;
      this.#ready.resolve();
    } else if (message.kind === "opening") this.#opening = message.volume;
    else if (message.kind === "siblings") void this.#sendSiblings();
    else this.#waiting.get(message.id)?.receive(message);
  }

  async #sendSiblings(): Promise<void> {
    const disks = (await this.#siblings?.()) ?? [];
    this.send({ kind: "siblings", disks });
  }

  #lose(reason: string): void {
    if (this.#lost.signal.aborted) return;
    this.#fail(
      this.#isReady
        ? new PluckError("corrupt", `The reader of this disk ${reason}; something on the disk leads it astray.`)
        : new PluckError("internal", `A reader worker could not be started: it ${reason}.`),
    );
    void this.#worker.terminate();
  }

  #fail(error: PluckError): void {
    this.#stopWatching();
    // A closed worker is not a lost one, but its requests end all the same.
    if (!this.#lost.signal.aborted) this.#lost.abort(error);
    this.#ready.reject(error);
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) request.fail(error);
  }

  get closed(): boolean {
    return this.#closed;
  }
}
