import type { BlockSource, MaybePromise } from "../../../blocks/block-source.ts";
import { unsupported } from "../../../blocks/disk-error.ts";
import { chain } from "../../../blocks/maybe-promise.ts";
import { assertRange } from "../../../blocks/range.ts";

/** Blocks changed by a log, all of which are held in memory: more than any log of 2 GiB leaves in practice. */
const maxChangedBytes = 1024 * 1024 * 1024;

/** The volume with the log's changes, as far as they have been made; nothing is written. */
export class ReplayDisk {
  /** By block index of the filesystem's block size: its bytes now. */
  readonly blocks = new Map<number, Buffer>();
  readonly #source: BlockSource;
  readonly #blockSize: number;

  constructor(source: BlockSource, blockSizeBytes: number) {
    this.#source = source;
    this.#blockSize = blockSizeBytes;
  }

  /** A block to be changed in place. */
  #own(index: number): MaybePromise<Buffer> {
    const known = this.blocks.get(index);
    if (known !== undefined) return known;
    if ((this.blocks.size + 1) * this.#blockSize > maxChangedBytes) {
      throw unsupported(`XFS log that changes more than ${maxChangedBytes} bytes of blocks`);
    }
    return chain(this.#source.read(index * this.#blockSize, this.#blockSize), (bytes) => {
      const own = Buffer.from(bytes);
      this.blocks.set(index, own);
      return own;
    });
  }

  /** A copy. */
  async read(offset: number, length: number): Promise<Buffer> {
    assertRange(this.#source, offset, length);
    const target = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const index = Math.floor((offset + done) / this.#blockSize);
      const within = offset + done - index * this.#blockSize;
      const count = Math.min(length - done, this.#blockSize - within);
      const known = this.blocks.get(index);
      target.set(known === undefined ? await this.#source.read(offset + done, count) : known.subarray(within, within + count), done);
      done += count;
    }
    return target;
  }

  async write(offset: number, bytes: Buffer): Promise<void> {
    assertRange(this.#source, offset, bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const index = Math.floor((offset + done) / this.#blockSize);
      const within = offset + done - index * this.#blockSize;
      const count = Math.min(bytes.length - done, this.#blockSize - within);
      const block = this.#own(index);
      (block instanceof Promise ? await block : block).set(bytes.subarray(done, done + count), within);
      done += count;
    }
  }
}
