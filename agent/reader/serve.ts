import type { MessagePort } from "node:worker_threads";
import { PluckError, toErrorBody } from "../../shared/errors.ts";
import { ChunkPool } from "./chunk-pool.ts";
import type { OpenDisk } from "./disk.ts";
import type { WalkItem } from "./disk-reader.ts";
import type { JsonPage } from "./disk-reader.ts";
import { packGroup } from "./pack-walk.ts";
import type { FromWorker, OpenDiskRequest, OpenedDisk, SiblingSocket, ToWorker } from "./protocol.ts";
import { readCreditBytes, streamCreditBytes } from "./protocol.ts";
import { toReaderError } from "./reader-error.ts";

/**
 * Opens the disk that this worker is for.
 * @param onOpening called with each volume's name before it is opened
 * @param siblings asks the main thread for the other disks of the backup
 */
export type DiskOpener = (request: OpenDiskRequest, onOpening: (volume: string) => void, siblings: () => Promise<readonly SiblingSocket[]>) => Promise<OpenDisk>;

/** Answers the requests of the main thread about one disk, from the worker's side. */
export function serveDisk(port: MessagePort, open: DiskOpener): void {
  const server = new DiskServer(port, open);
  port.on("message", (message: ToWorker) => server.receive(message));
  server.send({ kind: "ready" });
}

interface Stream {
  credit: number;
  readonly cancelled: AbortController;
  /** Called when credit comes or the stream is cancelled. */
  wake: (() => void) | undefined;
}

class DiskServer {
  readonly #port: MessagePort;
  readonly #open: DiskOpener;
  readonly #streams = new Map<number, Stream>();
  readonly #pool = new ChunkPool();
  readonly #siblings = Promise.withResolvers<readonly SiblingSocket[]>();
  #asked = false;
  #disk: OpenDisk | undefined;

  constructor(port: MessagePort, open: DiskOpener) {
    this.#port = port;
    this.#open = open;
  }

  send(message: FromWorker, transfer?: readonly ArrayBuffer[]): void {
    if (transfer === undefined) this.#port.postMessage(message);
    else this.#port.postMessage(message, transfer);
  }

  receive(message: ToWorker): void {
    switch (message.kind) {
      case "ping":
        return this.send({ kind: "pong" });
      case "open":
        return void this.#answer(message.id, () => this.#openDisk(message.request));
      case "call":
        return void this.#answer(message.id, async () => {
          const disk = this.#opened();
          if (message.method === "list") return disk.list(message.request);
          if (message.method === "listJson") return disk.listJson(message.request);
          if (message.method === "select") return disk.select(message.request);
          if (message.method === "unlock") {
            await disk.unlock(message.request).finally(() => message.request.secret.fill(0));
            return disk.volumes;
          }
          return message.method === "info" ? disk.info(message.request) : disk.resolve(message.request);
        });
      case "read":
        return void this.#stream(message.id, readCreditBytes(this.#streams.size + 1), (signal) => this.#opened().readChunks(message.request, signal, this.#pool), (bytes) => {
          // Taken first: a moved buffer has no length any more.
          const { length } = bytes;
          this.send({ kind: "chunk", id: message.id, bytes }, [bytes.buffer as ArrayBuffer]);
          return length;
        });
      case "walk":
        return this.#walk(message.id, (signal) => this.#opened().walkGroups(message.request, signal));
      case "walk-selection":
        return this.#walk(message.id, (signal) => this.#opened().walkSelectionGroups(message.paths, signal));
      case "siblings":
        return this.#siblings.resolve(message.disks);
      case "recycle":
        return this.#pool.give(message.buffer);
      case "credit": {
        const stream = this.#streams.get(message.id);
        if (stream === undefined) return;
        stream.credit += message.bytes;
        return stream.wake?.();
      }
      case "cancel": {
        const stream = this.#streams.get(message.id);
        stream?.cancelled.abort(new PluckError("internal", "cancelled"));
        return stream?.wake?.();
      }
    }
  }

  async #openDisk(request: OpenDiskRequest): Promise<OpenedDisk> {
    const siblings = (): Promise<readonly SiblingSocket[]> => {
      if (!this.#asked) this.send({ kind: "siblings" });
      this.#asked = true;
      return this.#siblings.promise;
    };
    this.#disk = await this.#open(request, (volume) => this.send({ kind: "opening", volume }), siblings);
    const { sizeBytes, volumes } = this.#disk;
    return { sizeBytes, volumes };
  }

  #opened(): OpenDisk {
    if (this.#disk === undefined) throw new PluckError("mount_not_found", "The disk is not open.");
    return this.#disk;
  }

  async #answer(id: number, work: () => Promise<unknown>): Promise<void> {
    try {
      const value = await work();
      this.send({ kind: "result", id, value }, isPage(value) ? [value.entries.buffer as ArrayBuffer] : undefined);
    } catch (error) {
      this.send({ kind: "error", id, error: toErrorBody(toReaderError(error, "disk")) });
    }
  }

  #walk(id: number, source: (signal: AbortSignal) => AsyncIterable<WalkItem[]>): void {
    void this.#stream(id, streamCreditBytes, source, (items) => {
      const group = packGroup(items);
      this.send({ kind: "group", id, group }, [group.bytes.buffer as ArrayBuffer]);
      return group.cost;
    });
  }

  /** Sends what `source` gives as long as there is credit. @param sendOne sends one value and returns its cost in bytes */
  async #stream<T>(id: number, creditBytes: number, source: (signal: AbortSignal) => AsyncIterable<T>, sendOne: (value: T) => number): Promise<void> {
    const stream: Stream = { credit: creditBytes, cancelled: new AbortController(), wake: undefined };
    const { signal } = stream.cancelled;
    this.#streams.set(id, stream);
    try {
      for await (const value of source(signal)) {
        if (signal.aborted) break;
        stream.credit -= sendOne(value);
        while (stream.credit <= 0 && !signal.aborted) await new Promise<void>((resolve) => (stream.wake = resolve));
        if (signal.aborted) break;
      }
      if (!signal.aborted) this.send({ kind: "end", id });
    } catch (error) {
      if (!signal.aborted) this.send({ kind: "error", id, error: toErrorBody(toReaderError(error, "disk")) });
    } finally {
      this.#streams.delete(id);
    }
  }
}

function isPage(value: unknown): value is JsonPage {
  return typeof value === "object" && value !== null && "entries" in value && value.entries instanceof Uint8Array;
}
