import type { BlockExtent, BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { MissingMember } from "../../blocks/missing-member.ts";
import { assertRange } from "../../blocks/range.ts";
import type { Stripe } from "./chunk-item.ts";
import type { ChunkMap, Piece, Rebuild } from "./chunk-map.ts";
import { rebuildFromBoth, rebuildFromP, rebuildFromQ } from "./parity.ts";

export interface Device {
  readonly id: number;
  readonly uuid: string;
  readonly source: BlockSource;
  /** It missed the last commit, perhaps many: what it holds may be older than the same on another device. */
  readonly isStale: boolean;
}

/** How much a way of reading is to be trusted: of the devices that it needs, the worst decides. */
const ranks = { good: 0, stale: 1, missing: 2 } as const;

/** Contents without checksums are read in pieces of this size where no copy can be read whole. */
const retryBytes = 4096;

/**
 * The logical address space of a filesystem over its devices. `readCopy` and `readCopyInto` give one
 * copy as it is; `read` and `readInto` (for what has no checksum) take the first copy that can be read.
 */
export class LogicalSpace implements BlockSource {
  readonly chunks: ChunkMap;
  /** By devid: one that was replaced may turn up again beside the one that took its devid. */
  readonly #devices = new Map<number, Device[]>();

  constructor(chunks: ChunkMap, devices: readonly Device[]) {
    this.chunks = chunks;
    for (const device of devices) {
      const known = this.#devices.get(device.id);
      if (known === undefined) this.#devices.set(device.id, [device]);
      else known.push(device);
    }
  }

  isAtHand(stripe: Pick<Stripe, "deviceId" | "deviceUuid">): boolean {
    return this.#deviceOf(stripe) !== undefined;
  }

  get sizeBytes(): number {
    return this.chunks.endBytes;
  }

  /** Where the best copy at hand lies whole on one device; undefined when there is none. */
  locate(logical: number, length: number): { readonly source: BlockSource; readonly offset: number } | undefined {
    const [first, ...more] = this.chunks.pieces(logical, length, 0);
    if (first === undefined || more.length > 0) return undefined;
    const device = this.#deviceOf(first.stripe);
    if (device?.isStale === false) return { source: device.source, offset: first.offsetBytes };
    for (const copy of this.#copiesByRank(logical, length)) {
      const [piece] = this.chunks.pieces(logical, length, copy);
      if (piece === undefined || piece.rebuild !== undefined) return undefined;
      const other = this.#deviceOf(piece.stripe);
      if (other !== undefined) return { source: other.source, offset: piece.offsetBytes };
    }
    return undefined;
  }

  /** The copies of a range that are up to date and lie whole on one device at hand. */
  copiesOnDevices(logical: number, length: number): { readonly device: Device; readonly offsetBytes: number }[] {
    return Array.from({ length: this.chunks.copyCount(logical) }, (_, copy) => this.chunks.pieces(logical, length, copy)).flatMap(([piece, ...more]) => {
      if (piece === undefined || more.length > 0 || piece.rebuild !== undefined) return [];
      const device = this.#deviceOf(piece.stripe);
      return device === undefined || device.isStale ? [] : [{ device, offsetBytes: piece.offsetBytes }];
    });
  }

  /** The most trustworthy way of reading a range. */
  bestCopy(logical: number, length: number): number {
    return this.#rank(this.chunks.pieces(logical, length, 0)) === ranks.good ? 0 : this.#copiesByRank(logical, length)[0]!;
  }

  /** @param copy from 0; see ChunkMap.copyCount */
  readCopy(logical: number, length: number, copy: number): MaybePromise<Uint8Array> {
    const pieces = this.chunks.pieces(logical, length, copy);
    const [only] = pieces;
    if (only !== undefined && pieces.length === 1 && only.rebuild === undefined) {
      return this.#source(only.stripe).read(only.offsetBytes, length);
    }
    const target = new Uint8Array(length);
    return this.#readPieces(pieces, target).then(() => target);
  }

  async readCopyInto(logical: number, target: Uint8Array, copy: number, signal?: AbortSignal): Promise<void> {
    await this.#readPieces(this.chunks.pieces(logical, target.length, copy), target, signal);
  }

  async #readPieces(pieces: readonly Piece[], target: Uint8Array, signal?: AbortSignal): Promise<void> {
    await Promise.all(pieces.map(async (piece) => {
      const view = pieces.length === 1 ? target : target.subarray(piece.at, piece.at + piece.length);
      if (piece.rebuild === undefined) await this.#source(piece.stripe).readInto(piece.offsetBytes, view, signal);
      else view.set(await this.#rebuild(piece.rebuild, piece.length, signal));
    }));
  }

  async #rebuild(rebuild: Rebuild, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { target, other, p, q } = rebuild;
    const readOne = async ({ stripe, offsetBytes }: { stripe: Stripe; offsetBytes: number }): Promise<Uint8Array> => {
      const bytes = new Uint8Array(length);
      await this.#source(stripe).readInto(offsetBytes, bytes, signal);
      return bytes;
    };
    const data = await Promise.all(rebuild.data.map((place, index) => (index === target || index === other ? undefined : readOne(place))));
    const pBytes = p === undefined ? undefined : await readOne(p);
    const qBytes = q === undefined ? undefined : await readOne(q);
    if (pBytes !== undefined && qBytes !== undefined && other !== undefined) return rebuildFromBoth(data, pBytes, qBytes, target, other);
    if (pBytes !== undefined) return rebuildFromP(data, pBytes);
    return rebuildFromQ(data, qBytes!, target);
  }

  #deviceOf({ deviceId, deviceUuid }: Pick<Stripe, "deviceId" | "deviceUuid">): Device | undefined {
    return this.#devices.get(deviceId)?.find(({ uuid }) => uuid === deviceUuid);
  }

  #source(stripe: Stripe): BlockSource {
    const device = this.#deviceOf(stripe);
    if (device === undefined) throw missingDevice(stripe.deviceId, stripe.deviceUuid);
    return device.source;
  }

  #rank(pieces: readonly Piece[]): number {
    let worst: number = ranks.good;
    const add = (stripe: Stripe): void => {
      const device = this.#deviceOf(stripe);
      worst = Math.max(worst, device === undefined ? ranks.missing : device.isStale ? ranks.stale : ranks.good);
    };
    for (const { stripe, rebuild } of pieces) {
      if (rebuild === undefined) {
        add(stripe);
        continue;
      }
      const { data, target, other, p, q } = rebuild;
      data.forEach((place, index) => {
        if (index !== target && index !== other) add(place.stripe);
      });
      if (p !== undefined) add(p.stripe);
      if (q !== undefined) add(q.stripe);
    }
    return worst;
  }

  /** The ways of reading a range, the most trustworthy first, else in order. */
  #copiesByRank(logical: number, length: number): number[] {
    const copies = Array.from({ length: this.chunks.copyCount(logical) }, (_, copy) => ({ copy, rank: this.#rank(this.chunks.pieces(logical, length, copy)) }));
    return copies.sort((a, b) => a.rank - b.rank || a.copy - b.copy).map(({ copy }) => copy);
  }

  /** The best copy that can be read and that `accept` takes; `accept` throws "corrupt" to refuse one. */
  async readAny<T>(logical: number, length: number, accept: (bytes: Uint8Array) => T, signal?: AbortSignal, exceptCopy?: number): Promise<T> {
    let worst: DiskError | undefined;
    for (const copy of this.#copiesByRank(logical, length)) {
      if (copy === exceptCopy) continue;
      try {
        const bytes = new Uint8Array(length);
        await this.readCopyInto(logical, bytes, copy, signal);
        return accept(bytes);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        worst = graver(worst, error);
      }
    }
    throw worst ?? corrupt("btrfs logical address", logical, "there is no other copy");
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    const target = new Uint8Array(length);
    return this.readInto(offset, target).then(() => target);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    if (target.length === 0) return;
    await this.readFirstInto(offset, target, retryBytes, signal);
  }

  /**
   * Fills `target`: from the first copy where all that it needs is there and up to date; else each part that lies on
   * one device from the best copy that can be read whole; where none can, each `unitBytes` from the best that gives them.
   */
  async readFirstInto(logical: number, target: Uint8Array, unitBytes: number, signal?: AbortSignal): Promise<void> {
    const pieces = this.chunks.pieces(logical, target.length, 0);
    if (this.#rank(pieces) === ranks.good) {
      try {
        await this.#readPieces(pieces, target, signal);
        return;
      } catch (error) {
        if (!(error instanceof DiskError) || this.chunks.copyCount(logical) === 1) throw error;
      }
    }
    await Promise.all(pieces.map((piece) => this.#readBestInto(logical + piece.at, target.subarray(piece.at, piece.at + piece.length), unitBytes, signal)));
  }

  /** @param target lies on one device in every copy */
  async #readBestInto(logical: number, target: Uint8Array, unitBytes: number, signal?: AbortSignal): Promise<void> {
    const copies = this.#copiesByRank(logical, target.length);
    for (const copy of copies) {
      try {
        await this.readCopyInto(logical, target, copy, signal);
        return;
      } catch (error) {
        if (!(error instanceof DiskError) || copies.length === 1) throw error;
      }
    }
    for (let at = 0; at < target.length; at += unitBytes) {
      const length = Math.min(unitBytes, target.length - at);
      target.set(await this.readAny(logical + at, length, (bytes) => bytes, signal), at);
    }
  }

  async extents(offset: number, length: number): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    return length === 0 ? [] : [{ offset, length, hole: false }];
  }
}

const gravity = { unsupported: 0, corrupt: 1, io_error: 2 } as const;

/** What to tell when every copy failed: a failed read first, as another try may help; then damage; then a missing device. */
export function graver(a: DiskError | undefined, b: unknown): DiskError {
  const error = toDiskError(b);
  return a === undefined || gravity[error.code] > gravity[a.code] ? error : a;
}

/** @param uuid of the device */
export function missingDevice(id: number, uuid: string): MissingMember {
  return new MissingMember(`btrfs over several devices: device ${id} (${uuid}) is on none of the disks looked at`);
}
