import type { BlockExtent, BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, corrupt, toDiskError, unsupported } from "../../blocks/disk-error.ts";
import { assertRange } from "../../blocks/range.ts";
import type { Stripe } from "./chunk-item.ts";
import type { ChunkMap, Piece, Rebuild } from "./chunk-map.ts";
import { rebuildFromBoth, rebuildFromP, rebuildFromQ } from "./parity.ts";

export interface Device {
  readonly id: number;
  readonly uuid: string;
  readonly source: BlockSource;
}

/** Contents without checksums are read in pieces of this size where no copy can be read whole. */
const retryBytes = 4096;

/**
 * The logical address space of a filesystem over its devices. `readCopy` and `readCopyInto` give one
 * copy as it is; `read` and `readInto` (for what has no checksum) take the first copy that can be read.
 */
export class LogicalSpace implements BlockSource {
  readonly chunks: ChunkMap;
  readonly #devices: ReadonlyMap<number, Device>;

  constructor(chunks: ChunkMap, devices: ReadonlyMap<number, Device>) {
    this.chunks = chunks;
    this.#devices = devices;
  }

  get sizeBytes(): number {
    return this.chunks.endBytes;
  }

  /** Where the first copy at hand lies whole on one device; undefined when there is none. */
  locate(logical: number, length: number): { readonly source: BlockSource; readonly offset: number } | undefined {
    const copies = this.chunks.copyCount(logical);
    for (let copy = 0; copy < copies; copy++) {
      const [piece, ...others] = this.chunks.pieces(logical, length, copy);
      if (piece === undefined || others.length > 0 || piece.rebuild !== undefined) return undefined;
      const device = this.#devices.get(piece.stripe.deviceId);
      if (device !== undefined && device.uuid === piece.stripe.deviceUuid) return { source: device.source, offset: piece.offsetBytes };
    }
    return undefined;
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

  #source(stripe: Stripe): BlockSource {
    const device = this.#devices.get(stripe.deviceId);
    if (device === undefined || device.uuid !== stripe.deviceUuid) {
      throw unsupported(`btrfs over several devices: device ${stripe.deviceId} (${stripe.deviceUuid}) is not at hand`);
    }
    return device.source;
  }

  /** The first copy that can be read and that `accept` takes; `accept` throws "corrupt" to refuse one. */
  async readAny<T>(logical: number, length: number, accept: (bytes: Uint8Array) => T, signal?: AbortSignal, firstCopy = 0): Promise<T> {
    let worst: DiskError | undefined;
    const copies = this.chunks.copyCount(logical);
    for (let copy = firstCopy; copy < copies; copy++) {
      try {
        const bytes = new Uint8Array(length);
        await this.readCopyInto(logical, bytes, copy, signal);
        return accept(bytes);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        worst = graver(worst, error);
      }
    }
    throw worst ?? corrupt("btrfs logical address", logical, `there is no copy ${firstCopy}`);
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
   * Fills `target` from the first copy that can be read whole; where none can, each `unitBytes` from the
   * first that gives them.
   */
  async readFirstInto(logical: number, target: Uint8Array, unitBytes: number, signal?: AbortSignal): Promise<void> {
    const copies = this.chunks.copyCount(logical);
    for (let copy = 0; copy < copies; copy++) {
      try {
        await this.readCopyInto(logical, target, copy, signal);
        return;
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        if (copies === 1) throw error;
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
