import { bufferKey } from "./buffer-item.ts";

/**
 * Buffers that were given back later in the log: what was logged of them before must not be replayed, as something
 * else may stand there now. Counted in a first pass over the log, and counted down as the second meets them.
 */
export class Cancellations {
  readonly #byBuffer = new Map<string, number>();
  readonly #byOffset = new Map<number, number>();

  add(offsetBytes: number, lengthBytes: number): void {
    change(this.#byBuffer, bufferKey(offsetBytes, lengthBytes), 1);
    change(this.#byOffset, offsetBytes, 1);
  }

  /** The second pass has come to it. */
  remove(offsetBytes: number, lengthBytes: number): void {
    change(this.#byBuffer, bufferKey(offsetBytes, lengthBytes), -1);
    change(this.#byOffset, offsetBytes, -1);
  }

  has(offsetBytes: number, lengthBytes: number): boolean {
    return this.#byBuffer.has(bufferKey(offsetBytes, lengthBytes));
  }

  /** Whether a buffer of any length that begins there is still to be cancelled. */
  hasAt(offsetBytes: number): boolean {
    return this.#byOffset.has(offsetBytes);
  }
}

function change<Key>(counts: Map<Key, number>, key: Key, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
