import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { PluckError } from "../../shared/errors.ts";
import type { VerifiedLink } from "../../shared/link.ts";
import type { AgentEvent } from "../../shared/messages.ts";
import type { OpenMount } from "../mounts/open-mount.ts";
import type { AgentMetrics } from "./metrics.ts";
import { SentChunks } from "./sent-chunks.ts";
import { causeOf } from "./unchanged.ts";

/** The bytes of a body, one chunk at a time. */
export interface ByteSupply {
  /** The next chunk; undefined after the last. Throws where a byte can't be read. */
  next(): Promise<Uint8Array | undefined>;
  /** Takes the buffer of a chunk that was sent for later ones. */
  recycle?(chunk: Uint8Array): void;
  /** Stops all reading for it, also while next() is waiting. */
  cancel(reason: Error): void;
}

/** A mount that a transfer reads. */
export interface TransferSource {
  readonly mount: OpenMount;
  /** As asked for. */
  readonly path: string;
}

export interface TransferContext {
  /** Usually one; an archive of a selection may read several. */
  readonly sources: readonly [TransferSource, ...TransferSource[]];
  /** With several sources: the index of the one that what comes now is read from. */
  readonly currentSource?: () => number;
  readonly link: Pick<VerifiedLink, "linkId" | "user">;
  readonly operation: "download" | "archive";
  readonly requestId: string;
  /** The response below Hono; undefined in tests without a socket. */
  readonly outgoing: ServerResponse | undefined;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  readonly report: (event: AgentEvent) => void;
}

/**
 * Starts a transfer and waits for its first chunk, so that what fails at once is still answered with
 * a problem document. From then on every failure (a read, the end of the mount) breaks the
 * connection: a body is whole or visibly broken. The chunk that completes an announced length is held
 * back until the disk is known to be the one that the first was read from; an archive has its own check.
 * The transfer is counted and reported on every path; one of several sources is reported once for each, with the bytes that went out
 * while that one was being read.
 *
 * The lease is kept by `beginTransfer` until the last byte was handed to the system.
 *
 * @param lengthBytes what Content-Length announces; undefined for an archive
 */
export async function startTransfer(context: TransferContext, supply: ByteSupply, lengthBytes?: number): Promise<ReadableStream<Uint8Array>> {
  const transfer = new Transfer(context, supply, lengthBytes);
  const first = await transfer.first();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => await transfer.pull(controller, first),
      cancel: () => transfer.clientGone(),
    },
    // Asked for only when the socket has room: what was asked for has been sent.
    { highWaterMark: 0 },
  );
}

class Transfer {
  readonly #context: TransferContext;
  readonly #supply: ByteSupply;
  readonly #lengthBytes: number | undefined;
  readonly #sentChunks: SentChunks | undefined;
  readonly #startedAt = performance.now();
  readonly #endLeases: readonly (() => void)[];
  readonly #onMountEnded = (event: Event): void => this.#breakOff((event.target as AbortSignal).reason);
  readonly #onClose = (): void => this.#closed();
  #usedFirst = false;
  #readBytes = 0;
  /** From then on nobody else hears of its errors. */
  #hasBegun = false;
  /** Handed to the response so far, and what of it the socket has asked beyond. */
  #givenBytes = 0;
  #sentBytes = 0;
  /** The same by source, and the source of what was given last. */
  readonly #sentOf: number[];
  #givenOf = 0;
  #isWhole = false;
  #isOver = false;
  #fail: ((error: Error) => void) | undefined;

  constructor(context: TransferContext, supply: ByteSupply, lengthBytes: number | undefined) {
    this.#context = context;
    this.#supply = supply;
    this.#lengthBytes = lengthBytes;
    this.#endLeases = context.sources.map(({ mount }) => mount.beginTransfer());
    this.#sentOf = context.sources.map(() => 0);
    if (supply.recycle !== undefined) this.#sentChunks = new SentChunks(context.outgoing, (chunk) => supply.recycle?.(chunk));
    for (const { mount } of context.sources) mount.ended.addEventListener("abort", this.#onMountEnded);
    context.outgoing?.on("close", this.#onClose);
  }

  async first(): Promise<Uint8Array | undefined> {
    try {
      for (const { mount } of this.#context.sources) mount.ended.throwIfAborted();
      const ended = new Promise<never>((_, reject) => (this.#fail = reject));
      const chunk = await Promise.race([this.#next(), ended]);
      this.#hasBegun = true;
      return chunk;
    } catch (error) {
      this.#over(outcomeOf(error), error);
      throw error;
    } finally {
      this.#fail = undefined;
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    let chunk: Uint8Array | undefined;
    try {
      chunk = await this.#supply.next();
    } catch (error) {
      throw this.#isOver ? error : await this.#causeOf(error);
    }
    this.#readBytes += chunk?.length ?? 0;
    if (this.#lengthBytes !== undefined && this.#readBytes >= this.#lengthBytes) await assertAllUnchanged(this.#context.sources);
    return chunk;
  }

  async #causeOf(error: unknown): Promise<unknown> {
    let cause = error;
    for (const { mount } of this.#context.sources) cause = await causeOf(mount, cause);
    return cause;
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>, first: Uint8Array | undefined): Promise<void> {
    if (this.#isOver) return await this.#abandon(controller);
    this.#countSent();
    this.#sentChunks?.collect();
    try {
      const chunk = this.#usedFirst ? await this.#next() : first;
      this.#usedFirst = true;
      if (this.#isOver) return await this.#abandon(controller);
      if (chunk === undefined) {
        if (this.#lengthBytes !== undefined && this.#givenBytes !== this.#lengthBytes) throw this.#lengthError();
        controller.close();
        this.#isWhole = true;
        if (this.#context.outgoing === undefined) this.#over("complete");
        return;
      }
      this.#givenBytes += chunk.length;
      if (this.#lengthBytes !== undefined && this.#givenBytes > this.#lengthBytes) throw this.#lengthError();
      this.#sentChunks?.gave(chunk);
      this.#givenOf = this.#context.currentSource?.() ?? 0;
      controller.enqueue(chunk);
    } catch (error) {
      this.#breakOff(error);
      await this.#abandon(controller);
    }
  }

  clientGone(): void {
    this.#over("client_gone");
  }

  /** The response is done with: everything was handed to the system, or the connection is gone. */
  #closed(): void {
    if (this.#isWhole && this.#context.outgoing?.writableFinished === true) {
      this.#countSent();
      this.#over("complete");
    } else {
      this.#fail?.(new PluckError("internal", "The client went away."));
      this.#over("client_gone");
    }
  }

  #breakOff(reason: unknown): void {
    if (this.#isOver) return;
    const error = reason instanceof Error ? reason : new Error("transfer broken off", { cause: reason });
    this.#over(outcomeOf(error), error);
    if (this.#fail !== undefined) this.#fail(error);
    else this.#context.outgoing?.destroy();
  }

  /**
   * The end of a broken body. The adapter would write an error's message into the body, so the socket
   * is destroyed and the stream left unfinished: the adapter cancels it when it sees the socket close.
   */
  async #abandon(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    if (this.#context.outgoing === undefined) controller.error(new Error("transfer broken off"));
    else this.#context.outgoing.destroy();
  }

  #lengthError(): Error {
    return new Error(`the reader gave ${this.#givenBytes} bytes where ${this.#lengthBytes} were announced`);
  }

  #countSent(): void {
    const bytes = this.#givenBytes - this.#sentBytes;
    this.#context.metrics.bytesSent.inc(bytes);
    this.#sentOf[this.#givenOf] = (this.#sentOf[this.#givenOf] ?? 0) + bytes;
    this.#sentBytes = this.#givenBytes;
  }

  #over(outcome: string, cause?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { sources, link, operation, outgoing, logger, metrics, report, requestId } = this.#context;
    for (const { mount } of sources) mount.ended.removeEventListener("abort", this.#onMountEnded);
    outgoing?.off("close", this.#onClose);
    if (outcome === "complete") this.#countSent();
    else this.#supply.cancel(cause instanceof Error ? cause : new Error(outcome));
    for (const endLease of this.#endLeases) endLease();
    metrics.transfers.inc({ operation, outcome });
    if (outcome === "io_error" && this.#hasBegun) metrics.nbdErrors.inc();
    for (const [index, { mount, path }] of sources.entries()) {
      const bytes = this.#sentOf[index] ?? 0;
      report({
        id: randomUUID(),
        at: new Date().toISOString(),
        type: "transfer_finished",
        mount_id: mount.mountId,
        link_id: link.linkId.slice(0, 64),
        user: link.user.slice(0, 256),
        operation,
        path,
        bytes,
        outcome,
      });
      logger[outcome === "complete" || outcome === "client_gone" ? "info" : "warn"](
        {
          request_id: requestId, mount_id: mount.mountId, link_id: link.linkId, user: link.user, operation, path,
          bytes, outcome, duration_ms: Math.round(performance.now() - this.#startedAt),
          ...(cause === undefined ? {} : { err: cause }),
        },
        "transfer finished",
      );
    }
  }
}

/** @throws PluckError backup_in_use when a job is at work on one of them */
export async function assertAllUnchanged(sources: readonly Pick<TransferSource, "mount">[]): Promise<void> {
  for (const { mount } of sources) await mount.assertUnchanged();
}

function outcomeOf(error: unknown): string {
  return error instanceof PluckError ? error.code : "internal";
}

/** A supply over a generator that reads until `stop` is called. */
export function supplyOf(chunks: AsyncIterator<Uint8Array, unknown>, stop: (reason: Error) => void): ByteSupply {
  return {
    async next() {
      const { done, value } = await chunks.next();
      return done === true ? undefined : (value as Uint8Array);
    },
    cancel(reason) {
      stop(reason);
      chunks.return?.().catch(() => undefined);
    },
  };
}
