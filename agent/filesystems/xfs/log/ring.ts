import type { BlockSource } from "../../../blocks/block-source.ts";
import { corrupt } from "../../../blocks/disk-error.ts";
import { asBuffer } from "../../byte-string.ts";
import type { Superblock } from "../superblock.ts";
import { isRecordHeader, logBlockBytes, readCycle } from "./record.ts";

/** Bytes read at once while searching: the search looks at neighbours next. */
const searchBytes = 128 * 1024;

/** The log as a ring of 512-byte blocks. */
export class LogRing {
  readonly blockCount: number;
  readonly offsetBytes: number;
  readonly superblock: Superblock;
  readonly #source: BlockSource;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;

  /** @param offsetBytes where the log begins in the volume */
  constructor(source: BlockSource, superblock: Superblock, offsetBytes: number) {
    this.#source = source;
    this.superblock = superblock;
    this.offsetBytes = offsetBytes;
    this.blockCount = superblock.logBlocks * (superblock.blockSizeBytes / logBlockBytes);
  }

  /** Blocks [start, start + count), going on at the beginning where the log ends; a copy. */
  async read(start: number, count: number): Promise<Buffer> {
    if (count > this.blockCount) throw corrupt("XFS log", this.offsetBytes, `${count} blocks wanted of ${this.blockCount}`);
    const first = Math.min(count, this.blockCount - start);
    const target = Buffer.allocUnsafe(count * logBlockBytes);
    target.set(await this.#source.read(this.offsetBytes + start * logBlockBytes, first * logBlockBytes));
    if (first < count) target.set(await this.#source.read(this.offsetBytes, (count - first) * logBlockBytes), first * logBlockBytes);
    return target;
  }

  /** One block, from a window of its neighbours; not to be modified. */
  async block(index: number): Promise<Buffer> {
    const within = () => index >= this.#windowStart && (index - this.#windowStart + 1) * logBlockBytes <= this.#window.length;
    if (!within()) {
      const perWindow = searchBytes / logBlockBytes;
      const start = Math.floor(index / perWindow) * perWindow;
      this.#window = await this.read(start, Math.min(perWindow, this.blockCount - start));
      this.#windowStart = start;
    }
    const at = (index - this.#windowStart) * logBlockBytes;
    return this.#window.subarray(at, at + logBlockBytes);
  }

  async cycle(index: number): Promise<number> {
    return readCycle(await this.block(index));
  }

  /** Likewise for one block alone, as a binary search needs it. */
  async probeCycle(index: number): Promise<number> {
    return readCycle(asBuffer(await this.#source.read(this.offsetBytes + index * logBlockBytes, logBlockBytes)));
  }

  async isHeader(index: number): Promise<boolean> {
    return isRecordHeader(await this.block(index));
  }

  /** The block `count` further on. */
  next(index: number, count: number): number {
    return (index + count) % this.blockCount;
  }
}
