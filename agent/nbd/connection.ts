import net from "node:net";
import { ByteFeed } from "./byte-feed.ts";
import type { Negotiated } from "./handshake.ts";
import { negotiate } from "./handshake.ts";
import {
  CHUNK_BLOCK_STATUS,
  CHUNK_DATA,
  CHUNK_ERROR_BIT,
  CHUNK_HEADER_REST_BYTES,
  CHUNK_HOLE,
  CHUNK_NONE,
  COMMAND_BLOCK_STATUS,
  COMMAND_DISCONNECT,
  COMMAND_FLAG_DF,
  COMMAND_READ,
  encodeRequest,
  MAX_STRING_BYTES,
  NbdProtocolError,
  parseBlockStatus,
  parseChunkLength,
  parseChunkOffset,
  parseErrorChunk,
  parseHole,
  parseReplyStart,
  SIMPLE_REPLY_BYTES,
  toErrnoName,
} from "./protocol.ts";
import type { NbdRequest } from "./request.ts";

export interface ConnectOptions {
  readonly socketPath: string;
  readonly exportName: string;
  /** From connecting to the end of the handshake. */
  readonly handshakeTimeoutMs: number;
  /** Silence while answers are due, after which the server counts as dead. */
  readonly stallTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ConnectionListener {
  /** A request was answered: there is room for the next. */
  onAnswer(request: NbdRequest): void;
  /** The connection is gone. These requests have no answer; sending them again makes sense when `retry` is true. */
  onLost(error: Error, unanswered: NbdRequest[], retry: boolean): void;
}

/** Error chunks carry a message and an offset; block status chunks up to 2^17 descriptors (QEMU's own limit). */
const MAX_ERROR_PAYLOAD_BYTES = 14 + MAX_STRING_BYTES;
const MAX_STATUS_PAYLOAD_BYTES = 4 + 8 * 131_072;
/** A read of up to this many bytes asks for an answer in one piece: metadata has hardly a hole worth a look by the server. */
const UNFRAGMENTED_READ_BYTES = 64 * 1024;
/** How long an abandoned read may keep its caller waiting for the socket to let go of the buffer. */
const RELEASE_TIMEOUT_MS = 1000;
/** How long the server may take to hang up after a goodbye. */
const GOODBYE_TIMEOUT_MS = 1000;

/**
 * Connects and shakes hands. Throws NbdProtocolError, the socket's own error, or the signal's reason;
 * never waits longer than the handshake timeout.
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  options.signal?.throwIfAborted();
  const connection = new Connection(options);
  const timer = setTimeout(() => {
    connection.destroy(new NbdProtocolError(`no NBD handshake within ${options.handshakeTimeoutMs} ms`));
  }, options.handshakeTimeoutMs);
  const onAbort = () => connection.destroy(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await connection.handshake(options.exportName);
    return connection;
  } catch (error) {
    connection.destroy(error as Error);
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** One socket to an NBD server, for as long as it lasts. */
export class Connection {
  readonly #socket: net.Socket;
  readonly #feed = new ByteFeed();
  readonly #closed = Promise.withResolvers<void>();
  #negotiated: Negotiated | undefined;
  #listener: ConnectionListener | undefined;
  #lost: Error | undefined;
  /** The handshake's wait for bytes, if it is in one. */
  #rejectHandshake: ((error: Error) => void) | undefined;

  readonly #pending = new Map<number, NbdRequest>();
  #nextCookie = 1;
  /** The request whose reply is being read; undefined between replies. */
  #current: NbdRequest | undefined;
  #currentCookie = 0;
  #chunkType = 0;
  #chunkDone = false;
  /** Bytes of a data chunk beyond its offset field. */
  #dataLength = 0;
  /** True while the bytes that come belong into the current request's own buffer. */
  #isFilling = false;
  /** The error an abandoned request gets once the socket has let go of its buffer. */
  #release: { request: NbdRequest; error: unknown; timer: NodeJS.Timeout } | undefined;

  readonly #replyStart = new Uint8Array(SIMPLE_REPLY_BYTES);
  readonly #chunkRest = new Uint8Array(CHUNK_HEADER_REST_BYTES);
  readonly #chunkOffset = new Uint8Array(8);
  #payload = new Uint8Array(0);

  constructor({ socketPath, stallTimeoutMs }: ConnectOptions) {
    this.#socket = net.connect({
      path: socketPath,
      // The socket reads into the buffers named here: no 'data' events, no copies of theirs.
      onread: {
        buffer: () => this.#nextBuffer(),
        callback: (count) => this.#received(count),
      },
    });
    this.#socket.on("error", (error) => this.destroy(error));
    this.#socket.on("end", () => this.destroy(new Error("the NBD server hung up")));
    this.#socket.on("close", () => {
      this.destroy(new Error("the NBD connection was closed"));
      this.#closed.resolve();
    });
    this.#socket.setTimeout(stallTimeoutMs, () => {
      if (this.#pending.size > 0) this.#lose(new Error(`the NBD server was silent for ${stallTimeoutMs} ms`), false);
    });
  }

  get negotiated(): Negotiated {
    if (this.#negotiated === undefined) throw new Error("the handshake is not over");
    return this.#negotiated;
  }

  async handshake(exportName: string): Promise<void> {
    this.#negotiated = await negotiate(
      { readExactly: (length) => this.#readExactly(length), write: (bytes) => void this.#socket.write(bytes) },
      exportName,
    );
    this.#expectReply();
  }

  listen(listener: ConnectionListener): void {
    this.#listener = listener;
  }

  send(request: NbdRequest): void {
    const cookie = this.#nextCookie;
    this.#nextCookie += 1;
    request.restart();
    this.#pending.set(cookie, request);
    const isRead = request.target !== undefined;
    const unfragmented = isRead && request.length <= UNFRAGMENTED_READ_BYTES && this.negotiated.sendsUnfragmented;
    this.#socket.write(
      encodeRequest({
        type: isRead ? COMMAND_READ : COMMAND_BLOCK_STATUS,
        flags: unfragmented ? COMMAND_FLAG_DF : 0,
        cookie,
        offset: request.offset,
        length: request.length,
      }),
    );
  }

  /**
   * Gives up a request that was sent: its promise rejects with `error`, at once unless the socket is
   * just writing into its buffer. Its answer is dropped when it comes.
   */
  abandon(request: NbdRequest, error: unknown): void {
    if (request.abandoned || request.settled) return;
    request.abandoned = true;
    const isFilling = this.#isFilling && this.#current === request;
    if (isFilling && this.#feed.isDirect) {
      // Node has handed this very buffer to the system; the next bytes, or the end of the socket, free it.
      const timer = setTimeout(() => this.destroy(new Error("an abandoned NBD read did not end")), RELEASE_TIMEOUT_MS);
      this.#release = { request, error, timer };
      return;
    }
    if (isFilling) this.#feed.release();
    request.reject(error);
  }

  /** Says goodbye when nothing is under way, else just hangs up. */
  async close(): Promise<void> {
    if (this.#pending.size > 0 || this.#negotiated === undefined || this.#lost !== undefined) {
      this.destroy(new Error("the NBD source was closed"));
    } else {
      this.#lost = new Error("the NBD source was closed");
      this.#socket.end(encodeRequest({ type: COMMAND_DISCONNECT, flags: 0, cookie: 0, offset: 0, length: 0 }));
      const timer = setTimeout(() => this.#socket.destroy(), GOODBYE_TIMEOUT_MS);
      await this.#closed.promise;
      clearTimeout(timer);
    }
    await this.#closed.promise;
  }

  destroy(error: Error): void {
    this.#lose(error, true);
  }

  #lose(error: Error, retry: boolean): void {
    this.#socket.destroy();
    if (this.#lost !== undefined) return;
    this.#lost = error;
    // A destroyed socket reads no more, so every buffer is its caller's again.
    this.#endRelease();
    this.#rejectHandshake?.(error);
    const unanswered = [...this.#pending.values()].filter((request) => !request.settled);
    this.#pending.clear();
    this.#listener?.onLost(error, unanswered, retry);
  }

  #endRelease(): void {
    if (this.#release === undefined) return;
    const { request, error, timer } = this.#release;
    this.#release = undefined;
    clearTimeout(timer);
    this.#feed.release();
    request.reject(error);
  }

  #readExactly(length: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    if (this.#lost !== undefined) reject(this.#lost);
    this.#rejectHandshake = reject;
    const bytes = new Uint8Array(length);
    this.#feed.fill(bytes, () => resolve(bytes));
    return promise;
  }

  #nextBuffer(): Uint8Array {
    try {
      return this.#feed.nextBuffer();
    } catch (error) {
      this.destroy(error as Error);
      return new Uint8Array(1);
    }
  }

  #received(count: number): boolean {
    if (this.#lost !== undefined) return false;
    try {
      this.#endRelease();
      this.#feed.received(count);
      return true;
    } catch (error) {
      this.destroy(error as Error);
      return false;
    }
  }

  #expectReply(): void {
    this.#current = undefined;
    this.#feed.fill(this.#replyStart, this.#onReplyStart);
  }

  readonly #onReplyStart = () => {
    const reply = parseReplyStart(this.#replyStart);
    const request = this.#pending.get(reply.cookie);
    if (request === undefined) throw new NbdProtocolError(`reply to request ${reply.cookie}, which is not under way`);
    this.#current = request;
    this.#currentCookie = reply.cookie;
    if (reply.kind === "chunk") {
      if (!this.negotiated.structuredReplies) throw new NbdProtocolError("structured reply without agreement");
      this.#chunkType = reply.type;
      this.#chunkDone = reply.done;
      this.#feed.fill(this.#chunkRest, this.#onChunkHeader);
      return;
    }
    this.#chunkDone = true;
    if (reply.error !== 0) {
      request.error = toErrnoName(reply.error);
      this.#onChunkEnd();
      return;
    }
    if (request.target === undefined || this.negotiated.structuredReplies) {
      throw new NbdProtocolError("simple reply where a structured one was agreed");
    }
    this.#fillRead(request, 0, request.length);
  };

  readonly #onChunkHeader = () => {
    const request = this.#currentRequest();
    const length = parseChunkLength(this.#chunkRest);
    const type = this.#chunkType;
    if (type === CHUNK_DATA && request.target !== undefined && length > 8 && length - 8 <= request.length) {
      this.#dataLength = length - 8;
      this.#feed.fill(this.#chunkOffset, this.#onDataOffset);
      return;
    }
    let limit = -1;
    if (type === CHUNK_NONE) limit = 0;
    else if (type === CHUNK_HOLE && request.target !== undefined) limit = 12;
    else if (type === CHUNK_BLOCK_STATUS && request.target === undefined) limit = MAX_STATUS_PAYLOAD_BYTES;
    else if ((type & CHUNK_ERROR_BIT) !== 0) limit = MAX_ERROR_PAYLOAD_BYTES;
    if (length > limit) throw new NbdProtocolError(`chunk of type ${type} with ${length} bytes of payload`);
    this.#payload = new Uint8Array(length);
    this.#feed.fill(this.#payload, this.#onPayload);
  };

  readonly #onDataOffset = () => {
    const request = this.#currentRequest();
    this.#fillRead(request, parseChunkOffset(this.#chunkOffset) - request.offset, this.#dataLength);
  };

  #fillRead(request: NbdRequest, start: number, length: number): void {
    request.coverage.add(start, length);
    if (request.abandoned || request.target === undefined) {
      this.#feed.skip(length, this.#onChunkEnd);
      return;
    }
    this.#isFilling = true;
    this.#feed.fill(request.target.subarray(start, start + length), this.#onChunkEnd);
  }

  readonly #onPayload = () => {
    const request = this.#currentRequest();
    const payload = this.#payload;
    if ((this.#chunkType & CHUNK_ERROR_BIT) !== 0) {
      request.error ??= parseErrorChunk(this.#chunkType, payload);
    } else if (this.#chunkType === CHUNK_HOLE) {
      const { offset, length } = parseHole(payload);
      const start = offset - request.offset;
      request.coverage.add(start, length);
      if (!request.abandoned) request.target?.fill(0, start, start + length);
    } else if (this.#chunkType === CHUNK_BLOCK_STATUS) {
      const { contextId, descriptors } = parseBlockStatus(payload);
      if (contextId === this.negotiated.allocationContextId) request.descriptors = descriptors;
    }
    this.#onChunkEnd();
  };

  readonly #onChunkEnd = () => {
    this.#isFilling = false;
    const request = this.#currentRequest();
    if (this.#chunkDone) {
      this.#answer(request);
      this.#expectReply();
      this.#listener?.onAnswer(request);
    } else this.#expectReply();
  };

  #answer(request: NbdRequest): void {
    const complete = request.target === undefined ? request.descriptors.length > 0 : request.coverage.isComplete;
    if (request.error === undefined && !complete) {
      throw new NbdProtocolError(`the reply to a request of ${request.length} bytes at byte ${request.offset} leaves some out`);
    }
    this.#pending.delete(this.#currentCookie);
    if (request.settled) return;
    if (request.error === undefined) request.resolve();
    else request.reject(request.toError(`the server answers ${request.error}`));
  }

  #currentRequest(): NbdRequest {
    if (this.#current === undefined) throw new NbdProtocolError("no reply is being read");
    return this.#current;
  }
}
