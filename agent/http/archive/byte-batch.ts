/** Small pieces are gathered until there are this many bytes: fewer, larger writes to the socket. */
export const batchBytes = 128 * 1024;

/**
 * Gathers what an encoder writes into chunks worth sending. Small pieces are copied together, large
 * ones pass through as they are. The owner takes chunks out whenever `ready`.
 */
export class ByteBatch {
  readonly #chunks: Uint8Array[] = [];
  #open: Buffer | undefined;
  #used = 0;

  /** The bytes may be kept: the caller never changes them afterwards. */
  write(bytes: Uint8Array): void {
    if (bytes.length > batchBytes / 2) {
      this.#seal();
      this.#chunks.push(bytes);
      return;
    }
    if (bytes.length > batchBytes - this.#used) this.#seal();
    this.#open ??= Buffer.allocUnsafeSlow(batchBytes);
    this.#open.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  get ready(): boolean {
    return this.#chunks.length > 0;
  }

  /** The next full chunk, or undefined. */
  take(): Uint8Array | undefined {
    return this.#chunks.shift();
  }

  /** Makes what is there a chunk, however small. */
  flush(): void {
    this.#seal();
  }

  #seal(): void {
    if (this.#open === undefined || this.#used === 0) return;
    this.#chunks.push(this.#open.subarray(0, this.#used));
    this.#open = undefined;
    this.#used = 0;
  }
}
