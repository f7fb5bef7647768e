import { fromErrorBody, type PluckError } from "../../shared/errors.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import { minPooledBytes } from "./chunk-pool.ts";
import type { DiskReader, JsonPage, ListPage, ListRequest, NodeInfo, PathRequest, ResolvedNode, SelectedNode, UnlockRequest, WalkItem } from "./disk-reader.ts";
import { type PackedGroup, unpackGroup } from "./pack-walk.ts";
import type { OpenedDisk, ToWorker } from "./protocol.ts";
import type { ReaderWorker } from "./reader-worker.ts";

/** One open disk behind a worker. */
export class WorkerDisk implements DiskReader {
  readonly sizeBytes: number;
  volumes: readonly VolumeSummary[];
  readonly worker: ReaderWorker;

  constructor(worker: ReaderWorker, opened: OpenedDisk) {
    this.worker = worker;
    this.sizeBytes = opened.sizeBytes;
    this.volumes = opened.volumes;
  }

  async unlock(request: UnlockRequest): Promise<void> {
    this.volumes = (await this.worker.call((id) => ({ kind: "call", id, method: "unlock", request }))) as readonly VolumeSummary[];
  }

  async list(request: ListRequest): Promise<ListPage> {
    return (await this.worker.call((id) => ({ kind: "call", id, method: "list", request }))) as ListPage;
  }

  async listJson(request: ListRequest): Promise<JsonPage> {
    return (await this.worker.call((id) => ({ kind: "call", id, method: "listJson", request }))) as JsonPage;
  }

  async info(request: PathRequest): Promise<NodeInfo> {
    return (await this.worker.call((id) => ({ kind: "call", id, method: "info", request }))) as NodeInfo;
  }

  async resolve(request: PathRequest): Promise<ResolvedNode> {
    return (await this.worker.call((id) => ({ kind: "call", id, method: "resolve", request }))) as ResolvedNode;
  }

  read(request: PathRequest & { readonly offset: number; readonly length: number }): ReadableStream<Uint8Array> {
    const stream = new WorkerStream<Uint8Array>(this.worker, (id) => ({ kind: "read", id, request }));
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const bytes = await stream.next();
          if (bytes === undefined) controller.close();
          else {
            stream.took(bytes.length);
            controller.enqueue(bytes);
          }
        },
        cancel: () => stream.cancel(),
      },
      { highWaterMark: 0 },
    );
  }

  recycle(chunk: Uint8Array): void {
    const { buffer } = chunk;
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= minPooledBytes) this.worker.send({ kind: "recycle", buffer }, [buffer]);
  }

  walk(request: PathRequest): AsyncGenerator<WalkItem, void, void> {
    return this.#walkItems((id) => ({ kind: "walk", id, request }));
  }

  async select(items: readonly (readonly string[])[]): Promise<readonly SelectedNode[]> {
    return (await this.worker.call((id) => ({ kind: "call", id, method: "select", request: items }))) as readonly SelectedNode[];
  }

  walkSelection(paths: readonly (readonly ByteString[])[]): AsyncGenerator<WalkItem, void, void> {
    return this.#walkItems((id) => ({ kind: "walk-selection", id, paths }));
  }

  async *#walkItems(request: (id: number) => ToWorker): AsyncGenerator<WalkItem, void, void> {
    const stream = new WorkerStream<PackedGroup>(this.worker, request);
    try {
      for (let group = await stream.next(); group !== undefined; group = await stream.next()) {
        stream.took(group.cost);
        yield* unpackGroup(group);
      }
    } finally {
      stream.cancel();
    }
  }
}

/** A row of chunks out of a worker, taken one by one. Asks for nothing before the first is wanted. */
class WorkerStream<T> {
  readonly #worker: ReaderWorker;
  readonly #request: (id: number) => ToWorker;
  readonly #received: T[] = [];
  #id: number | undefined;
  #ended = false;
  #error: PluckError | undefined;
  #wake: (() => void) | undefined;

  constructor(worker: ReaderWorker, request: (id: number) => ToWorker) {
    this.#worker = worker;
    this.#request = request;
  }

  /** The next chunk; undefined after the last. */
  async next(): Promise<T | undefined> {
    if (this.#id === undefined) this.#begin();
    for (;;) {
      const value = this.#received.shift();
      if (value !== undefined) return value;
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Tells the worker that so many bytes were taken. */
  took(bytes: number): void {
    if (!this.#ended && this.#id !== undefined && bytes > 0) this.#worker.send({ kind: "credit", id: this.#id, bytes });
  }

  cancel(): void {
    if (this.#id !== undefined && !this.#ended && this.#error === undefined) this.#worker.send({ kind: "cancel", id: this.#id });
    this.#finish();
    this.#received.length = 0;
  }

  #begin(): void {
    this.#id = this.#worker.begin(this.#request, {
      receive: (message) => {
        if (message.kind === "chunk") this.#received.push(message.bytes as T);
        else if (message.kind === "group") this.#received.push(message.group as T);
        else {
          if (message.kind === "error") this.#error = fromErrorBody(message.error);
          this.#finish();
        }
        this.#wake?.();
      },
      fail: (error) => {
        // What the reader gave before it was lost may be a part of nonsense: the stream ends here.
        this.#received.length = 0;
        this.#error = error;
        this.#wake?.();
      },
    });
  }

  #finish(): void {
    this.#ended = true;
    if (this.#id !== undefined) this.#worker.forget(this.#id);
    this.#wake?.();
  }
}
