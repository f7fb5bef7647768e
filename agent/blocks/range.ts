import type { BlockSource } from "./block-source.ts";
import { corrupt } from "./disk-error.ts";

/**
 * Throws "corrupt" unless [offset, offset + length) lies inside the source: in a read-only stack
 * an address outside it can only have come from the disk itself.
 */
export function assertRange(source: Pick<BlockSource, "sizeBytes">, offset: number, length: number): void {
  // Written so that no sum can leave the safe integers; NaN and fractions fail the first test.
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length)) {
    if (offset >= 0 && length >= 0 && length <= source.sizeBytes - offset) return;
  }
  throw corrupt("range", offset, `length ${length}, but the source has ${source.sizeBytes} bytes`);
}
