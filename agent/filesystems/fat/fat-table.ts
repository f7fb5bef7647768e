// The file allocation table: for each cluster the next one of its chain. Source: fatgen103, "FAT Data Structure".
//
//   Variant | Entry                      | Free | Bad        | End of chain
//   FAT12   | 12 bits, packed            | 0    | 0xff7      | 0xff8 and above
//   FAT16   | 16 bits, little-endian     | 0    | 0xfff7     | 0xfff8 and above
//   FAT32   | low 28 of 32 bits          | 0    | 0x0ffffff7 | 0x0ffffff8 and above
import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { FIRST_CLUSTER, type BootSector, type FatBits } from "./boot-sector.ts";

/** Read and kept together. A multiple of 3, so that no packed entry of FAT12 spans two pieces. */
const PIECE_BYTES = 3 * 65536;
/** Kept at most: 16 pieces, 3 MiB, the chains of 800,000 clusters of FAT32. */
const MAX_PIECES = 16;

export const END_OF_CHAIN = -1;

const BAD_CLUSTER: Record<FatBits, number> = { 12: 0xff7, 16: 0xfff7, 32: 0x0ffffff7 };

export class FatTable {
  readonly #source: BlockSource;
  readonly #boot: BootSector;
  readonly #pieces = new Map<number, Uint8Array>();
  #lastIndex = -1;
  #lastPiece: Uint8Array = new Uint8Array(0);

  constructor(source: BlockSource, boot: BootSector) {
    this.#source = source;
    this.#boot = boot;
  }

  /** One past the largest cluster number. */
  get endCluster(): number {
    return this.#boot.clusterCount + FIRST_CLUSTER;
  }

  isCluster(value: number): boolean {
    return value >= FIRST_CLUSTER && value < this.endCluster;
  }

  /**
   * The cluster after this one, or END_OF_CHAIN; at once when that part of the table is at hand.
   * Throws "corrupt" when the entry is free, marked bad or not a cluster.
   */
  next(cluster: number): MaybePromise<number> {
    const value = this.value(cluster);
    return value instanceof Promise ? value.then((ready) => this.#toNext(cluster, ready)) : this.#toNext(cluster, value);
  }

  /** The raw entry; entries 0 and 1 hold flags. */
  value(cluster: number): MaybePromise<number> {
    const { fatBits } = this.#boot;
    const byteIndex = fatBits === 12 ? cluster + (cluster >>> 1) : cluster * (fatBits >>> 3);
    const pieceIndex = Math.floor(byteIndex / PIECE_BYTES);
    const at = byteIndex - pieceIndex * PIECE_BYTES;
    if (pieceIndex === this.#lastIndex) return decode(this.#lastPiece, at, cluster, fatBits);
    const piece = this.#piece(pieceIndex);
    return piece instanceof Promise ? piece.then((bytes) => decode(bytes, at, cluster, fatBits)) : decode(piece, at, cluster, fatBits);
  }

  #toNext(cluster: number, value: number): number {
    if (this.isCluster(value)) return value;
    const bad = BAD_CLUSTER[this.#boot.fatBits];
    if (value > bad) return END_OF_CHAIN;
    const meaning = value === bad ? "is marked bad" : value === 0 ? "is free" : `points to ${value}, the last cluster is ${this.endCluster - 1}`;
    throw corrupt(`FAT entry of cluster ${cluster}`, this.#boot.fatOffsetBytes, `${meaning} inside a chain`);
  }

  #piece(index: number): MaybePromise<Uint8Array> {
    const known = this.#pieces.get(index);
    if (known !== undefined) {
      // The most recent one last: the first key is the one to give up.
      this.#pieces.delete(index);
      return this.#keep(index, known);
    }
    const start = index * PIECE_BYTES;
    const length = Math.min(PIECE_BYTES, usedBytes(this.#boot) - start);
    const bytes = this.#source.read(this.#boot.fatOffsetBytes + start, length);
    return bytes instanceof Promise ? bytes.then((ready) => this.#keep(index, ready)) : this.#keep(index, bytes);
  }

  #keep(index: number, piece: Uint8Array): Uint8Array {
    this.#pieces.set(index, piece);
    if (this.#pieces.size > MAX_PIECES) this.#pieces.delete(this.#pieces.keys().next().value!);
    this.#lastIndex = index;
    this.#lastPiece = piece;
    return piece;
  }
}

/** The part of the table that describes clusters; FAT32 tables may be much longer. */
function usedBytes(boot: BootSector): number {
  return Math.min(boot.fatBytes, Math.ceil(((boot.clusterCount + FIRST_CLUSTER) * boot.fatBits) / 8));
}

function decode(piece: Uint8Array, at: number, cluster: number, fatBits: FatBits): number {
  const low = piece[at]! | (piece[at + 1]! << 8);
  if (fatBits === 16) return low;
  if (fatBits === 12) return (cluster & 1) === 0 ? low & 0xfff : low >>> 4;
  return (low | (piece[at + 2]! << 16) | (piece[at + 3]! << 24)) & 0x0fffffff;
}
