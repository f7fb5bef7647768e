import { expect, test } from "vitest";
import { assertRange } from "./range.ts";

const source = { sizeBytes: 1000 };

test.each([
  [0, 0],
  [0, 1000],
  [999, 1],
  [1000, 0],
])("accepts [%d, +%d) of 1000 bytes", (offset, length) => {
  expect(() => assertRange(source, offset, length)).not.toThrow();
});

test.each([
  [-1, 1],
  [0, -1],
  [0, 1001],
  [1000, 1],
  [1001, 0],
  [0.5, 1],
  [0, Number.NaN],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [2 ** 60, 1],
])("calls [%d, +%d) of 1000 bytes corrupt", (offset, length) => {
  expect(() => assertRange(source, offset, length)).toThrow(expect.objectContaining({ code: "corrupt" }));
});
