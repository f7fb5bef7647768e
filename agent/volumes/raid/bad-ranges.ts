import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError } from "../../blocks/disk-error.ts";
import { lastAtOrBelow } from "../../blocks/concatenated.ts";
import { mirrored } from "../../blocks/mirrored.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";

/** Bytes of a member that must not be read from it, since they were never written there. */
export class BadRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** @param ranges half-open, in bytes of the member's data; in any order, overlapping or not */
  constructor(ranges: readonly { readonly start: number; readonly end: number }[]) {
    for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
      const last = this.#ends.length - 1;
      if (end <= start) continue;
      if (last >= 0 && start <= this.#ends[last]!) this.#ends[last] = Math.max(this.#ends[last]!, end);
      else {
        this.#starts.push(start);
        this.#ends.push(end);
      }
    }
  }

  /** Whether the byte at `offset` is bad, and up to where the answer holds. */
  at(offset: number): { isBad: boolean; until: number } {
    if (this.#starts.length === 0 || offset < this.#starts[0]!) return { isBad: false, until: this.#starts[0] ?? Infinity };
    const index = lastAtOrBelow(this.#starts, offset);
    if (offset < this.#ends[index]!) return { isBad: true, until: this.#ends[index]! };
    return { isBad: false, until: this.#starts[index + 1] ?? Infinity };
  }
}

/** Slots of members that are bad at `offset`, and up to where the answer holds. */
export function badSlotsAt(bad: readonly (BadRanges | undefined)[], offset: number): { slots: number[]; until: number } {
  const slots: number[] = [];
  let until = Infinity;
  for (const [slot, ranges] of bad.entries()) {
    if (ranges === undefined) continue;
    const found = ranges.at(offset);
    if (found.isBad) slots.push(slot);
    until = Math.min(until, found.until);
  }
  return { slots, until };
}

function badBlock(offset: number): DiskError {
  return new DiskError("io_error", `RAID: the bytes from ${offset} on were lost in the guest: its log of bad blocks names them, and no other member has them`);
}

/** A member whose bad bytes are errors. */
export function withoutBad(source: BlockSource, bad: BadRanges | undefined): BlockSource {
  if (bad === undefined) return source;
  return pieced(source.sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const { isBad, until } = bad.at(at);
      const count = Math.min(until, offset + length) - at;
      pieces.push({ from: isBad ? badBlock(at) : source, offset: at, length: count });
      at += count;
    }
    return pieces;
  });
}

/** Copies of the same bytes, each read only where it is good. @param bad by index of the copy */
export function mirroredWithoutBad(copies: readonly BlockSource[], bad: readonly (BadRanges | undefined)[], sizeBytes: number): BlockSource {
  const whole = mirrored(copies, sizeBytes);
  if (bad.every((ranges) => ranges === undefined)) return whole;
  const bySlots = new Map<string, BlockSource>();
  const goodCopies = (slots: readonly number[]): BlockSource | undefined => {
    if (slots.length === copies.length) return undefined;
    const key = slots.join();
    const source = bySlots.get(key) ?? mirrored(copies.filter((_, slot) => !slots.includes(slot)), sizeBytes);
    bySlots.set(key, source);
    return source;
  };
  return pieced(sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const { slots, until } = badSlotsAt(bad, at);
      const count = Math.min(until, offset + length) - at;
      pieces.push({ from: goodCopies(slots) ?? badBlock(at), offset: at, length: count });
      at += count;
    }
    return pieces;
  });
}
