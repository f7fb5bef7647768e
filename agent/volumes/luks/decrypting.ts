import type { BlockExtent, BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { assertRange } from "../../blocks/range.ts";
import type { SectorCipher } from "./sector-cipher.ts";

/** Read from below and decrypted at a time: bounds both memory and the time a thread is taken without a pause (5 ms). */
const pieceBytes = 1024 * 1024;

/**
 * The decrypted bytes of an encrypted source whose size is a whole number of sectors.
 * @param firstSector the number of its first sector, counted in 512 bytes
 */
export function decrypting(source: BlockSource, cipher: SectorCipher, firstSector: bigint): BlockSource {
  return new Decrypting(source, cipher, firstSector);
}

class Decrypting implements BlockSource {
  readonly sizeBytes: number;
  readonly #source: BlockSource;
  readonly #cipher: SectorCipher;
  readonly #firstSector: bigint;

  constructor(source: BlockSource, cipher: SectorCipher, firstSector: bigint) {
    this.sizeBytes = source.sizeBytes;
    this.#source = source;
    this.#cipher = cipher;
    this.#firstSector = firstSector;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    const { start, end } = this.#sectors(offset, length);
    return chain(this.#source.read(start, end - start), (shared) => {
      const bytes = new Uint8Array(shared);
      this.#decrypt(bytes, start);
      return bytes.subarray(offset - start, offset - start + length);
    });
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    for (let at = 0; at < target.length; ) {
      const wanted = Math.min(target.length - at, pieceBytes - ((offset + at) % pieceBytes));
      const part = target.subarray(at, at + wanted);
      const { start, end } = this.#sectors(offset + at, wanted);
      if (end - start === wanted) {
        await this.#source.readInto(start, part, signal);
        this.#decrypt(part, start);
      } else {
        const bytes = new Uint8Array(end - start);
        await this.#source.readInto(start, bytes, signal);
        this.#decrypt(bytes, start);
        part.set(bytes.subarray(offset + at - start, offset + at - start + wanted));
      }
      at += wanted;
    }
  }

  /** What the storage keeps as zeros is no zeros any more once decrypted: all of it is data. */
  async extents(offset: number, length: number): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    return length === 0 ? [] : [{ offset, length, hole: false }];
  }

  #sectors(offset: number, length: number): { start: number; end: number } {
    const { sectorBytes } = this.#cipher;
    const start = offset - (offset % sectorBytes);
    return { start, end: Math.ceil((offset + length) / sectorBytes) * sectorBytes };
  }

  #decrypt(bytes: Uint8Array, start: number): void {
    this.#cipher.decrypt(bytes, this.#firstSector + BigInt(start / 512));
  }
}
