import type { BlockSource } from "./block-source.ts";
import type { DiskError } from "./disk-error.ts";
import { pieced, type Piece } from "./pieced.ts";

/** A part of a concatenation: `lengthBytes` of a source from `offset` on, zeros, or nothing, with the reason. */
export interface Part {
  readonly from: Piece["from"];
  readonly offset: number;
  readonly lengthBytes: number;
}

/** The parts one after another. The ranges were checked by the caller. */
export function concatenated(parts: readonly Part[]): BlockSource {
  const starts: number[] = [];
  let sizeBytes = 0;
  for (const part of parts) {
    starts.push(sizeBytes);
    sizeBytes += part.lengthBytes;
  }
  return pieced(sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    let index = lastAtOrBelow(starts, offset);
    for (let at = offset; at < offset + length; index += 1) {
      const part = parts[index]!;
      const within = at - starts[index]!;
      const count = Math.min(part.lengthBytes - within, offset + length - at);
      if (count > 0) pieces.push({ from: part.from, offset: part.offset + within, length: count });
      at += count;
    }
    return pieces;
  });
}

/** All bytes are `error`. */
export function unreadable(sizeBytes: number, error: DiskError): BlockSource {
  return concatenated([{ from: error, offset: 0, lengthBytes: sizeBytes }]);
}

/** The index of the last value that is not above `value`; the values rise, the first is not above it. */
export function lastAtOrBelow(values: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (values[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
