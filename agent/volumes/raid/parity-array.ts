import type { BlockExtent, BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { DiskError } from "../../blocks/disk-error.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";
import { assertRange } from "../../blocks/range.ts";
import { badSlotsAt, type BadRanges } from "./bad-ranges.ts";
import { add, addProduct, inverse, multiply, power, scale } from "./galois.ts";
import type { ParityLayout, StripeRoles } from "./parity-layout.ts";

export interface ParityArrayOptions {
  /** By slot; undefined for one that is missing: at most as many as there is parity. */
  readonly members: readonly (BlockSource | undefined)[];
  readonly layout: ParityLayout;
  /** By slot: bytes that must not be read from a member, but are computed from the others. */
  readonly bad?: readonly (BadRanges | undefined)[];
  /** 512 or more. */
  readonly chunkBytes: number;
  /** Of the data; each member holds its share of it, rounded up to whole chunks. */
  readonly sizeBytes: number;
}

/** RAID 4, 5 or 6. What a missing member held is computed from the others. */
export function parityArray(options: ParityArrayOptions): BlockSource {
  const { members, bad, layout, chunkBytes, sizeBytes } = options;
  const dataCount = members.length - layout.parityCount;
  const memberBytes = Math.ceil(sizeBytes / (chunkBytes * dataCount)) * chunkBytes;
  const readable = members.map((member, slot) => member ?? new RebuiltMember(options, slot, memberBytes));
  const hasBad = bad?.some((ranges) => ranges !== undefined) === true;
  /** By slot and the members that are left out. */
  const rebuilt = new Map<string, BlockSource | DiskError>();
  const rebuild = (slot: number, excluded: readonly number[], offset: number): BlockSource | DiskError => {
    const left = members.map((member, other) => (other === slot || excluded.includes(other) ? undefined : member));
    if (left.filter((member) => member === undefined).length > layout.parityCount) {
      return new DiskError("io_error", `RAID member ${slot}: the bytes from ${offset} on were lost in the guest: its log of bad blocks names them, and too few other members have theirs`);
    }
    const key = `${slot} ${excluded.join()}`;
    const known = rebuilt.get(key) ?? new RebuiltMember({ ...options, members: left }, slot, memberBytes);
    rebuilt.set(key, known);
    return known;
  };
  const goodPieces = (slot: number, start: number, length: number): Piece[] => {
    const pieces: Piece[] = [];
    for (let at = start; at < start + length; ) {
      const { slots, until } = badSlotsAt(bad ?? [], at);
      const count = Math.min(until, start + length) - at;
      const isGood = members[slot] !== undefined && !slots.includes(slot);
      pieces.push({ from: isGood ? members[slot]! : rebuild(slot, slots, at), offset: at, length: count });
      at += count;
    }
    return pieces;
  };
  return pieced(sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const chunk = Math.floor(at / chunkBytes);
      const within = at - chunk * chunkBytes;
      const stripe = Math.floor(chunk / dataCount);
      const slot = layout.roles(stripe, members.length).data(chunk - stripe * dataCount);
      const count = Math.min(chunkBytes - within, offset + length - at);
      const memberOffset = stripe * chunkBytes + within;
      if (hasBad) pieces.push(...goodPieces(slot, memberOffset, count));
      else pieces.push({ from: readable[slot]!, offset: memberOffset, length: count });
      at += count;
    }
    return pieces;
  });
}

/** So much of every other member is read at a time. */
const maxRebuildBytes = 1024 * 1024;

/** The data chunks of a missing member, computed from the members that are there. */
class RebuiltMember implements BlockSource {
  readonly sizeBytes: number;
  readonly #options: ParityArrayOptions;
  readonly #slot: number;

  constructor(options: ParityArrayOptions, slot: number, sizeBytes: number) {
    this.#options = options;
    this.#slot = slot;
    this.sizeBytes = sizeBytes;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    const target = new Uint8Array(length);
    return this.readInto(offset, target).then(() => target);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    for (let at = 0; at < target.length; at += maxRebuildBytes) {
      signal?.throwIfAborted();
      await this.#rebuild(offset + at, target.subarray(at, at + maxRebuildBytes), signal);
    }
  }

  async extents(offset: number, length: number): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    return length === 0 ? [] : [{ offset, length, hole: false }];
  }

  /** A stripe has the same place on all members, so one read of each serves several stripes. */
  async #rebuild(offset: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const { members, chunkBytes, layout } = this.#options;
    const bytes = await Promise.all(
      members.map(async (member) => {
        if (member === undefined) return undefined;
        const copy = new Uint8Array(target.length);
        await member.readInto(offset, copy, signal);
        return copy;
      }),
    );
    for (let at = 0; at < target.length; ) {
      const stripe = Math.floor((offset + at) / chunkBytes);
      const end = Math.min(target.length, (stripe + 1) * chunkBytes - offset);
      rebuildStripe(target, bytes, this.#slot, layout, layout.roles(stripe, members.length), at, end);
      at = end;
    }
  }
}

/** Computes what `slot`, which holds data in this stripe, held in [start, end) of the buffers. */
function rebuildStripe(
  target: Uint8Array, bytes: readonly (Uint8Array | undefined)[], slot: number, layout: ParityLayout, roles: StripeRoles, start: number, end: number,
): void {
  const { p, q } = roles;
  const dataSlots = Array.from({ length: bytes.length - layout.parityCount }, (_, index) => roles.data(index));
  const missing = dataSlots.filter((data) => data !== slot && bytes[data] === undefined);
  const parity = bytes[p];
  const syndrome = q < 0 ? undefined : bytes[q];
  target.fill(0, start, end);
  if (missing.length === 0 && parity !== undefined) {
    add(target, parity, start, end);
    for (const data of dataSlots) if (data !== slot) add(target, bytes[data]!, start, end);
    return;
  }
  const exponent = (data: number): number => (layout.ddf ? data : placeAfterQ(data, p, q, bytes.length));
  if (missing.length === 0 && syndrome !== undefined) {
    add(target, syndrome, start, end);
    for (const data of dataSlots) if (data !== slot) addProduct(target, bytes[data]!, power(exponent(data)), start, end);
    scale(target, power(-exponent(slot)), start, end);
    return;
  }
  const [other] = missing;
  if (missing.length !== 1 || other === undefined || parity === undefined || syndrome === undefined) {
    throw new DiskError("unsupported", `RAID member ${slot}: too few members are left to compute its contents`);
  }
  // Two unknowns x (wanted) and y: x + y = P', gx·x + gy·y = Q', so x = (Q' + gy·P') / (gx + gy).
  const gx = power(exponent(slot));
  const gy = power(exponent(other));
  const divisor = inverse(gx ^ gy);
  const parityFactor = multiply(gy, divisor);
  addProduct(target, parity, parityFactor, start, end);
  addProduct(target, syndrome, divisor, start, end);
  for (const data of dataSlots) {
    if (data === slot || data === other) continue;
    const factor = parityFactor ^ multiply(power(exponent(data)), divisor);
    if (factor !== 0) addProduct(target, bytes[data]!, factor, start, end);
  }
}

/** How many data members stand between Q and this one, going around. */
function placeAfterQ(slot: number, p: number, q: number, members: number): number {
  const distance = (slot - q - 1 + members) % members;
  const distanceOfP = (p - q - 1 + members) % members;
  return distanceOfP < distance ? distance - 1 : distance;
}
