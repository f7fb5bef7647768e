import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** More than the status line and headers of an answer can take: what of the socket's count may not be body. */
const maxHeadBytes = 64 * 1024;

/**
 * Tells which chunks of a body the system has taken, so that their buffers can be used again. What sits
 * between us and the socket may hold chunks back for as long as it likes: only the socket's own count
 * of bytes handed to the system is believed, less the most that can have been headers.
 */
export class SentChunks {
  readonly #socket: Socket | null;
  readonly #startBytes: number;
  readonly #recycle: (chunk: Uint8Array) => void;
  readonly #given: { readonly chunk: Uint8Array; readonly endBytes: number }[] = [];
  #givenBytes = 0;

  /** @param outgoing a response of which nothing is written yet */
  constructor(outgoing: ServerResponse | undefined, recycle: (chunk: Uint8Array) => void) {
    // A pipelined response has no socket before its turn; its chunks are not used again.
    this.#socket = outgoing?.socket ?? null;
    // All it was ever given: what an earlier answer may still have waiting is not ours.
    this.#startBytes = this.#socket?.bytesWritten ?? 0;
    this.#recycle = recycle;
  }

  /** To be told of every chunk of the body, in order. */
  gave(chunk: Uint8Array): void {
    this.#givenBytes += chunk.length;
    if (this.#socket !== null) this.#given.push({ chunk, endBytes: this.#givenBytes });
  }

  /** Recycles what the system has taken. */
  collect(): void {
    if (this.#socket === null || this.#socket.destroyed) return;
    const takenBytes = handedOver(this.#socket) - this.#startBytes - maxHeadBytes;
    for (let first = this.#given[0]; first !== undefined && first.endBytes <= takenBytes; first = this.#given[0]) {
      this.#given.shift();
      this.#recycle(first.chunk);
    }
  }
}

/** Bytes that the system took: those the socket counts less those it still holds. */
function handedOver(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength;
}
