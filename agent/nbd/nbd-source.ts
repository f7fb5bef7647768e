import pRetry, { AbortError } from "p-retry";
import type { BlockExtent, ClosableBlockSource, MaybePromise } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { assertRange } from "../blocks/range.ts";
import type { Connection } from "./connection.ts";
import { connect } from "./connection.ts";
import { toExtents } from "./extents.ts";
import { NbdRequest } from "./request.ts";
import { RequestQueue } from "./request-queue.ts";

export interface NbdOptions {
  readonly socketPath: string;
  /** Default: "", the server's default export. */
  readonly exportName?: string;
  /** Ends the opening; an open source is ended with `close`. */
  readonly signal?: AbortSignal;
  /** From connecting to the end of the handshake; default 5 s. */
  readonly handshakeTimeoutMs?: number;
  /** How long a lost connection is tried anew before reads fail; default 10 s. */
  readonly reconnectTimeoutMs?: number;
  /** Silence while answers are due, after which they fail; default 60 s. */
  readonly stallTimeoutMs?: number;
  /** Bytes of large reads under way at a time; default 8 MiB. */
  readonly maxInFlightBytes?: number;
}

export interface NbdSource extends ClosableBlockSource {
  /** True when the server tells holes from data. */
  readonly knowsHoles: boolean;
}

const HANDSHAKE_TIMEOUT_MS = 5000;
const RECONNECT_TIMEOUT_MS = 10_000;
const STALL_TIMEOUT_MS = 60_000;
const MAX_IN_FLIGHT_BYTES = 8 * 1024 * 1024;

/** Large reads travel in pieces of this size: measured against qemu-nbd, larger ones fall out of the processor's caches. */
const PIECE_BYTES = 512 * 1024;
/** A request during which this many connections were lost is the likely cause. */
const MAX_LOSSES = 3;
/** One block status request covers at most this much; its field holds 32 bits. */
const MAX_STATUS_BYTES = 0xffff_0000;

/**
 * Opens an NBD export on a unix socket as a block source. Any number of reads may be under way; each
 * fails or succeeds alone. A lost connection is made anew and unanswered reads are sent again.
 *
 * Everything that goes wrong is an "io_error", within the times named in the options; an abort rejects
 * with the signal's reason.
 */
export async function openNbd(options: NbdOptions): Promise<NbdSource> {
  try {
    return new NbdClient(options, await connectOnce(options, options.signal));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new DiskError("io_error", `NBD export on ${options.socketPath}: ${messageOf(error)}`, { cause: error });
  }
}

function connectOnce(options: NbdOptions, signal: AbortSignal | undefined): Promise<Connection> {
  const { socketPath, exportName = "" } = options;
  const { handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
  return connect({ socketPath, exportName, handshakeTimeoutMs, stallTimeoutMs, signal });
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

class NbdClient implements NbdSource {
  readonly sizeBytes: number;
  readonly knowsHoles: boolean;
  readonly #options: NbdOptions;
  readonly #minimumBlockBytes: number;
  readonly #pieceBytes: number;
  readonly #queue: RequestQueue;
  readonly #closing = new AbortController();

  #connection: Connection | undefined;
  #reconnecting = false;
  /** The last attempt to reconnect failed: the next one gets a single try, so that reads fail fast. */
  #isDown = false;
  /** Set once the source is of no use any more: closed, or its size has changed. */
  #ended: DiskError | undefined;

  constructor(options: NbdOptions, connection: Connection) {
    const { sizeBytes, minimumBlockBytes, maximumBlockBytes, allocationContextId } = connection.negotiated;
    this.sizeBytes = sizeBytes;
    this.knowsHoles = allocationContextId !== undefined;
    this.#options = options;
    this.#minimumBlockBytes = minimumBlockBytes;
    this.#pieceBytes = Math.min(PIECE_BYTES, alignDown(maximumBlockBytes, minimumBlockBytes));
    this.#queue = new RequestQueue(options.maxInFlightBytes ?? MAX_IN_FLIGHT_BYTES);
    this.#adopt(connection);
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    if (length === 0) return new Uint8Array(0);
    // Memory of its own, so that a cache may keep it; the client fills every byte, or the read fails.
    const target = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    return this.#fill(offset, target, undefined).then(() => target);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    signal?.throwIfAborted();
    if (target.length > 0) await this.#fill(offset, target, signal);
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    signal?.throwIfAborted();
    if (length === 0) return [];
    const start = alignDown(offset, this.#minimumBlockBytes);
    const end = Math.min(this.#alignUpInside(offset + length), start + MAX_STATUS_BYTES);
    const request = new NbdRequest(start, end - start, undefined);
    await this.#run([request], signal);
    return toExtents(await request.promise, start, offset, length);
  }

  async close(): Promise<void> {
    this.#end(new DiskError("io_error", "the NBD source is closed"));
    this.#closing.abort();
    await this.#connection?.close();
  }

  async #fill(offset: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const start = alignDown(offset, this.#minimumBlockBytes);
    const end = this.#alignUpInside(offset + target.length);
    if (end - start === target.length) return this.#fillAligned(offset, target, signal);
    // Only servers with large blocks come here; QEMU and nbdkit read any bytes.
    const aligned = new Uint8Array(end - start);
    await this.#fillAligned(start, aligned, signal);
    target.set(aligned.subarray(offset - start, offset - start + target.length));
  }

  #fillAligned(offset: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const requests: NbdRequest[] = [];
    for (let at = 0; at < target.length; at += this.#pieceBytes) {
      const piece = target.subarray(at, at + this.#pieceBytes);
      requests.push(new NbdRequest(offset + at, piece.length, piece));
    }
    return this.#run(requests, signal);
  }

  /** Block-aligned, unless the export itself ends in the middle of a block. */
  #alignUpInside(end: number): number {
    const block = this.#minimumBlockBytes;
    return Math.min(Math.ceil(end / block) * block, this.sizeBytes);
  }

  /** Sends requests and waits for them all; when one fails or the caller aborts, the others are given up. */
  async #run(requests: readonly NbdRequest[], signal: AbortSignal | undefined): Promise<void> {
    const abandonAll = (error: unknown) => requests.forEach((request) => this.#abandon(request, error));
    const onAbort = () => abandonAll(signal?.reason);
    for (const request of requests) this.#submit(request);
    signal?.addEventListener("abort", onAbort, { once: true });
    let failure: { error: unknown } | undefined;
    const note = (error: unknown) => {
      failure ??= { error };
      abandonAll(error);
    };
    try {
      // All of them, also after a failure: as long as one is under way it may write into the caller's buffer.
      await Promise.all(requests.map((request) => request.promise.catch(note)));
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    if (failure !== undefined) throw failure.error;
  }

  #submit(request: NbdRequest): void {
    if (this.#ended !== undefined) {
      request.reject(this.#ended);
      return;
    }
    this.#queue.push(request);
    this.#send();
  }

  #abandon(request: NbdRequest, error: unknown): void {
    if (request.settled) return;
    if (this.#queue.isSent(request)) {
      this.#connection?.abandon(request, error);
      return;
    }
    this.#queue.remove(request);
    request.reject(error);
  }

  /** Sends what is waiting, as far as there is room. */
  #send(): void {
    const connection = this.#connection;
    if (connection === undefined) {
      if (this.#queue.isWaiting) void this.#reconnect();
      return;
    }
    for (let request = this.#queue.take(); request !== undefined; request = this.#queue.take()) {
      if (request.target === undefined && connection.negotiated.allocationContextId === undefined) {
        // A server that can't tell holes: an empty status, which counts as data.
        this.#queue.answered(request);
        request.resolve();
        continue;
      }
      connection.send(request);
    }
  }

  #adopt(connection: Connection): void {
    this.#connection = connection;
    this.#isDown = false;
    connection.listen({
      onAnswer: (request) => {
        this.#queue.answered(request);
        this.#send();
      },
      onLost: (error, unanswered, retry) => {
        this.#connection = undefined;
        const again = unanswered.filter((request) => this.#mayRepeat(request, error, retry));
        this.#queue.returned(again);
        this.#send();
      },
    });
  }

  /** Counts a loss; a request that is not to be sent again fails here. */
  #mayRepeat(request: NbdRequest, error: Error, retry: boolean): boolean {
    request.losses += 1;
    if (this.#ended !== undefined) request.reject(this.#ended);
    else if (!retry || request.losses >= MAX_LOSSES) request.reject(request.toError(messageOf(error), error));
    return !request.settled;
  }

  async #reconnect(): Promise<void> {
    if (this.#reconnecting || this.#ended !== undefined) return;
    this.#reconnecting = true;
    const { reconnectTimeoutMs = RECONNECT_TIMEOUT_MS } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(reconnectTimeoutMs)]);
    try {
      const connection = await pRetry(() => this.#connectAgain(signal), {
        retries: this.#isDown ? 0 : Number.POSITIVE_INFINITY,
        minTimeout: 20,
        maxTimeout: 500,
        factor: 2,
        maxRetryTime: reconnectTimeoutMs,
        signal,
      });
      this.#adopt(connection);
    } catch (error) {
      this.#isDown = true;
      for (const request of this.#queue.drain()) {
        request.reject(this.#ended ?? request.toError(`no connection: ${messageOf(error)}`, error));
      }
    } finally {
      this.#reconnecting = false;
    }
    this.#send();
  }

  async #connectAgain(signal: AbortSignal): Promise<Connection> {
    const connection = await connectOnce(this.#options, signal);
    const { sizeBytes } = connection.negotiated;
    if (sizeBytes === this.sizeBytes && this.#ended === undefined) return connection;
    await connection.close();
    if (this.#ended !== undefined) throw new AbortError(this.#ended);
    // Whatever this is, it is not the disk that was opened: mixing the two would be worse than failing.
    const error = `the export has ${sizeBytes} bytes after reconnecting, expected ${this.sizeBytes}`;
    this.#end(new DiskError("io_error", error));
    throw new AbortError(error);
  }

  #end(error: DiskError): void {
    this.#ended ??= error;
    for (const request of this.#queue.drain()) request.reject(this.#ended);
  }
}

function alignDown(offset: number, block: number): number {
  return offset - (offset % block);
}
