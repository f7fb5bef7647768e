import type { FileHandle } from "node:fs/promises";

/** Zeros of this length at such a boundary become a hole. */
export const holeBytes = 32 * 1024;
/** What is gathered before it is written. */
const bufferBytes = 8 * holeBytes;
const zeros = Buffer.alloc(holeBytes);

/** Writes a file from front to back; long runs of zeros are left out, as holes. */
export class SparseWriter {
  readonly #handle: FileHandle;
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  /** Where the buffer belongs; at the first write perhaps inside a block. */
  #positionBytes: number;
  #filledBytes = 0;

  /** @param lengthBytes what the file holds already; after it nothing */
  constructor(handle: FileHandle, lengthBytes: number) {
    this.#handle = handle;
    this.#positionBytes = lengthBytes;
  }

  /** With what is still in the buffer. */
  get lengthBytes(): number {
    return this.#positionBytes + this.#filledBytes;
  }

  async append(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      // Ends at a block boundary, so that blocks are looked at whole.
      const roomBytes = bufferBytes - (this.#positionBytes % holeBytes) - this.#filledBytes;
      const taken = rest.subarray(0, roomBytes);
      this.#buffer.set(taken, this.#filledBytes);
      this.#filledBytes += taken.length;
      rest = rest.subarray(taken.length);
      if (taken.length === roomBytes) await this.#write();
    }
  }

  /** Writes the buffer, and makes the file as long as what was appended: also where it ends in a hole. */
  async flush(): Promise<void> {
    await this.#write();
    await this.#handle.truncate(this.#positionBytes);
  }

  async #write(): Promise<void> {
    const buffer = this.#buffer.subarray(0, this.#filledBytes);
    let start = 0;
    let index = 0;
    while (index < buffer.length) {
      const end = Math.min(buffer.length, index + holeBytes - ((this.#positionBytes + index) % holeBytes));
      const isHole = end - index === holeBytes && buffer.subarray(index, end).equals(zeros);
      if (isHole) {
        await this.#writeAll(buffer.subarray(start, index), this.#positionBytes + start);
        start = end;
      }
      index = end;
    }
    await this.#writeAll(buffer.subarray(start), this.#positionBytes + start);
    this.#positionBytes += buffer.length;
    this.#filledBytes = 0;
  }

  async #writeAll(bytes: Uint8Array, positionBytes: number): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, positionBytes + written);
      written += bytesWritten;
    }
  }
}
