import { expect, test } from "vitest";
import { memorySource } from "./memory-source.ts";
import { overlay, type OverlayBlock } from "./overlay.ts";

const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
const blocks = new Map<number, OverlayBlock>([
  [1, 40],
  [2, Uint8Array.of(100, 101, 102, 103, 104, 105, 106, 107)],
  [4, { sourceOffset: 0, head: Uint8Array.of(200, 201, 202, 203) }],
]);
const expected = Uint8Array.from([
  ...bytes.subarray(0, 8), ...bytes.subarray(40, 48), 100, 101, 102, 103, 104, 105, 106, 107,
  ...bytes.subarray(24, 32), 200, 201, 202, 203, 4, 5, 6, 7, ...bytes.subarray(40),
]);

test("reads any range as if the blocks had been written", async () => {
  const source = overlay(memorySource(bytes), 8, blocks);
  for (let start = 0; start <= bytes.length; start++) {
    for (let end = start; end <= bytes.length; end++) {
      expect([...(await source.read(start, end - start))]).toEqual([...expected.subarray(start, end)]);
      const target = new Uint8Array(end - start);
      await source.readInto(start, target);
      expect([...target]).toEqual([...expected.subarray(start, end)]);
    }
  }
});

test("leaves the source's bytes as they were", async () => {
  const source = overlay(memorySource(bytes), 8, blocks);
  await source.read(0, 64);
  expect([...bytes]).toEqual(Array.from({ length: 64 }, (_, index) => index));
});

test("answers extents up to the next replaced block, and calls a replaced block data", async () => {
  const holes = { ...memorySource(bytes), sizeBytes: 64, extents: async (offset: number, length: number) => [{ offset, length, hole: true }] };
  const source = overlay(holes, 8, new Map([[1, 40]]));
  expect(await source.extents(0, 64)).toEqual([{ offset: 0, length: 8, hole: true }]);
  expect(await source.extents(8, 56)).toEqual([{ offset: 8, length: 8, hole: false }]);
});

test("refuses a range that leaves the source", () => {
  expect(() => overlay(memorySource(bytes), 8, blocks).read(60, 8)).toThrow(/length 8/);
});

test("is the source itself when nothing is replaced", () => {
  const source = memorySource(bytes);
  expect(overlay(source, 8, new Map())).toBe(source);
});
