import type { WalkEntry, WalkItem } from "./disk-reader.ts";

/** Some items of a walk as they cross between threads: all their bytes in one buffer, which is moved, not copied. */
export interface PackedGroup {
  /** An entry, or the length of a data item; the bytes of the data items follow one another. */
  readonly items: readonly (WalkEntry | number)[];
  readonly bytes: Uint8Array;
  /** What it counts against the stream's credit. */
  readonly cost: number;
}

/** An entry takes about this much memory on its way. */
const entryCost = 512;

export function packGroup(group: readonly WalkItem[]): PackedGroup {
  const items: (WalkEntry | number)[] = [];
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (const item of group) {
    if (item.kind === "entry") items.push(item);
    else {
      items.push(item.bytes.length);
      chunks.push(item.bytes);
      length += item.bytes.length;
    }
  }
  return { items, bytes: join(chunks, length), cost: length + (items.length - chunks.length) * entryCost };
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

/** A single chunk that has its buffer to itself is moved as it is. */
function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1 && first.byteLength === first.buffer.byteLength) return first;
  const bytes = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}
