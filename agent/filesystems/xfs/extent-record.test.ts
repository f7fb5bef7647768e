import { describe, expect, test } from "vitest";
import { hole, parseExtentRecords } from "./extent-record.ts";

/** A record by its bits, from the left: state, 54 of the offset, 52 of the block, 21 of the count. */
function record(state: bigint, offset: bigint, block: bigint, count: bigint): Buffer {
  const bits = (state << 127n) | (offset << 73n) | (block << 21n) | count;
  return Buffer.from(bits.toString(16).padStart(32, "0"), "hex");
}

describe("extent records", () => {
  test("give offset, block and count", () => {
    const list = parseExtentRecords(Buffer.concat([record(0n, 0n, 1036n, 1n), record(0n, 2n ** 40n + 7n, 2n ** 50n + 3n, 2n ** 21n - 1n)]), 0, 2);
    expect(list).toEqual({
      logical: Float64Array.of(0, 2 ** 40 + 7),
      count: Float64Array.of(1, 2 ** 21 - 1),
      physical: Float64Array.of(1036, 2 ** 50 + 3),
    });
  });

  test("give unwritten extents as holes", () => {
    expect(parseExtentRecords(record(1n, 5n, 99n, 8n), 0, 1)).toMatchObject({ logical: Float64Array.of(5), physical: Float64Array.of(hole) });
  });

  test("that have no blocks, or lie one over another, are damage", () => {
    expect(parseExtentRecords(record(0n, 5n, 99n, 0n), 0, 1)).toContain("no blocks");
    expect(parseExtentRecords(Buffer.concat([record(0n, 5n, 99n, 8n), record(0n, 12n, 200n, 1n)]), 0, 2)).toContain("ends at 13");
  });
});
