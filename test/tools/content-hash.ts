import { createHash, type Hash } from "node:crypto";

/** Files above this size get the hash of their non-zero blocks instead of a plain SHA-256. */
export const plainHashLimitBytes = 64 * 1024 * 1024;

const blockBytes = 4096;
const zeroBlock = new Uint8Array(blockBytes);

/**
 * Hashes contents as they stream by. Up to the limit a plain SHA-256; above it the SHA-256 over each block of
 * 4096 bytes that is not all zeros, each preceded by its offset in bytes as a 64-bit little-endian number, with
 * the count of such blocks: big sparse files are compared without hashing their holes.
 */
export class ContentHash {
  readonly #plain: Hash | undefined;
  readonly #nonZero: Hash | undefined;
  #blocks = 0;
  #position = 0;
  #partial: Uint8Array = new Uint8Array(0);

  constructor(sizeBytes: number | bigint) {
    if (sizeBytes > plainHashLimitBytes) this.#nonZero = createHash("sha256");
    else this.#plain = createHash("sha256");
  }

  update(bytes: Uint8Array): void {
    this.#plain?.update(bytes);
    if (this.#nonZero === undefined) return;
    let rest = bytes;
    if (this.#partial.length > 0) {
      const missing = blockBytes - this.#partial.length;
      this.#partial = Buffer.concat([this.#partial, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#partial.length < blockBytes) return;
      this.#block(this.#partial);
      this.#partial = new Uint8Array(0);
    }
    let at = 0;
    for (; at + blockBytes <= rest.length; at += blockBytes) this.#block(rest.subarray(at, at + blockBytes));
    this.#partial = Uint8Array.from(rest.subarray(at));
  }

  /** A run of zeros; costs nothing for whole blocks under the non-zero rule. */
  zeros(length: number): void {
    if (this.#plain !== undefined || length <= 2 * blockBytes) {
      for (let rest = length; rest > 0; rest -= 1 << 20) this.update(new Uint8Array(Math.min(rest, 1 << 20)));
      return;
    }
    const head = this.#partial.length === 0 ? 0 : blockBytes - this.#partial.length;
    if (head > 0) this.update(new Uint8Array(head));
    const whole = Math.floor((length - head) / blockBytes);
    this.#position += whole * blockBytes;
    const tail = length - head - whole * blockBytes;
    if (tail > 0) this.update(new Uint8Array(tail));
  }

  digest(): { sha256: string } | { nonZero: { sha256: string; blocks: number } } {
    if (this.#plain !== undefined) return { sha256: this.#plain.digest("hex") };
    if (this.#partial.length > 0) this.#block(this.#partial);
    return { nonZero: { sha256: this.#nonZero!.digest("hex"), blocks: this.#blocks } };
  }

  #block(block: Uint8Array): void {
    const position = this.#position;
    this.#position += block.length;
    if (Buffer.compare(block, zeroBlock.subarray(0, block.length)) === 0) return;
    this.#blocks += 1;
    const offset = new Uint8Array(8);
    new DataView(offset.buffer).setBigUint64(0, BigInt(position), true);
    this.#nonZero!.update(offset).update(block);
  }
}
