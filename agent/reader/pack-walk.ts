import type { WalkEntry, WalkItem } from "./disk-reader.ts";

/** Some items of a walk as they cross between threads: all their bytes in one buffer, which is moved, not copied. */
export interface PackedGroup {
  /** An entry, or the length of a data item whose bytes follow those of the one before. */
  readonly items: readonly (WalkEntry | number)[];
  readonly bytes: Uint8Array;
  /** What it counts against the stream's credit. */
  readonly cost: number;
}

/** An entry costs about this much memory on its way. */
const entryCost = 512;

export function packGroup(group: readonly WalkItem[]): PackedGroup {
  let length = 0;
  let entries = 0;
  for (const item of group) {
    if (item.kind === "data") length += item.bytes.length;
    else entries += 1;
  }
  const [first, second] = group;
  const large = group.length <= 2 ? (first?.kind === "data" ? first : second?.kind === "data" ? second : undefined) : undefined;
  const owned = large !== undefined && large.bytes.length === length && large.bytes.byteLength === large.bytes.buffer.byteLength;
  const bytes = owned ? large.bytes : Buffer.allocUnsafeSlow(length);
  const items: (WalkEntry | number)[] = [];
  let filled = 0;
  for (const item of group) {
    if (item.kind === "entry") {
      items.push(item);
      continue;
    }
    if (!owned) bytes.set(item.bytes, filled);
    filled += item.bytes.length;
    items.push(item.bytes.length);
  }
  return { items, bytes, cost: length + entries * entryCost };
}

export function* unpackGroup({ items, bytes }: PackedGroup): Generator<WalkItem, void, void> {
  let taken = 0;
  for (const item of items) {
    if (typeof item !== "number") yield item;
    else {
      yield { kind: "data", bytes: bytes.subarray(taken, taken + item) };
      taken += item;
    }
  }
}
