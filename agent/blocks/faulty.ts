import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";
import { DiskError } from "./disk-error.ts";

/** Which reads fail. Several rules add up; none means none fails. */
export interface FaultPlan {
  /** Bad sectors: a read fails when it touches one of these half-open byte ranges. */
  readonly ranges?: readonly { readonly offset: number; readonly length: number }[];
  /** Ordinals of failing reads, counted from 1 over `read` and `readInto` together. */
  readonly reads?: readonly number[];
  /** Any other rule. */
  readonly when?: (read: { readonly ordinal: number; readonly offset: number; readonly length: number }) => boolean;
}

/** A source whose reads fail with "io_error" as planned. For tests: an error must reach the user as itself. */
export function faulty(source: BlockSource, plan: FaultPlan): BlockSource {
  return new Faulty(source, plan);
}

class Faulty implements BlockSource {
  readonly #source: BlockSource;
  readonly #plan: FaultPlan;
  #ordinal = 0;

  constructor(source: BlockSource, plan: FaultPlan) {
    this.#source = source;
    this.#plan = plan;
  }

  get sizeBytes(): number {
    return this.#source.sizeBytes;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    const error = this.#nextFault(offset, length);
    return error === undefined ? this.#source.read(offset, length) : Promise.reject(error);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    const error = this.#nextFault(offset, target.length);
    if (error !== undefined) throw error;
    await this.#source.readInto(offset, target, signal);
  }

  extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    return this.#source.extents(offset, length, signal);
  }

  #nextFault(offset: number, length: number): DiskError | undefined {
    this.#ordinal += 1;
    const { ranges = [], reads = [], when } = this.#plan;
    const fails =
      ranges.some((range) => offset < range.offset + range.length && range.offset < offset + length) ||
      reads.includes(this.#ordinal) ||
      when?.({ ordinal: this.#ordinal, offset, length }) === true;
    if (!fails) return undefined;
    return new DiskError("io_error", `planned fault: read ${this.#ordinal}, ${length} bytes at byte ${offset}`);
  }
}
