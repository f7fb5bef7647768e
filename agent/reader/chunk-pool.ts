/** Smaller buffers cost less to make than to send back. */
export const minPooledBytes = 128 * 1024;
/** Kept for the next chunks; what comes back beyond is left to the garbage collector. */
const maxFreeBytes = 8 * 1024 * 1024;

/**
 * Buffers of chunks that whoever took them gave back. A fresh megabyte costs its page faults and a
 * part of a garbage collection, in two threads; a used one costs a message.
 */
export class ChunkPool {
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  /** A buffer of exactly `length` bytes, alone in its ArrayBuffer so that it can be transferred; not zeroed. */
  take(length: number): Uint8Array {
    const index = this.#free.findIndex((buffer) => buffer.byteLength === length);
    const [buffer] = index < 0 ? [] : this.#free.splice(index, 1);
    if (buffer === undefined) return Buffer.allocUnsafeSlow(length);
    this.#freeBytes -= length;
    return new Uint8Array(buffer);
  }

  /** @param buffer that nobody reads or writes any more */
  give(buffer: ArrayBuffer): void {
    if (buffer.byteLength < minPooledBytes || buffer.byteLength > maxFreeBytes) return;
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > maxFreeBytes) this.#freeBytes -= this.#free.shift()?.byteLength ?? 0;
  }
}
