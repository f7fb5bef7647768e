import { expect, test } from "vitest";
import { Coverage } from "./coverage.ts";

test("is complete once every byte came, in any order", () => {
  const coverage = new Coverage(100);
  for (const [start, length] of [[50, 10], [0, 20], [60, 40], [30, 20]] as const) {
    coverage.add(start, length);
    expect(coverage.isComplete).toBe(false);
  }
  coverage.add(20, 10);
  expect(coverage.isComplete).toBe(true);
});

test.each([
  [15, 10],
  [25, 1],
  [0, 100],
  [19, 2],
  [29, 5],
])("refuses bytes that came before: [%d, +%d)", (start, length) => {
  const coverage = new Coverage(100);
  coverage.add(20, 10);
  expect(() => coverage.add(start, length)).toThrow(/before/);
});

test.each([
  [-1, 5],
  [96, 5],
  [0, 0],
  [2 ** 63, 10],
])("refuses a chunk outside the read: [%d, +%d)", (start, length) => {
  expect(() => new Coverage(100).add(start, length)).toThrow(/read of 100 bytes/);
});

test("bounds the number of chunks", () => {
  const coverage = new Coverage(1_000_000);
  expect(() => {
    for (let at = 0; at < 1_000_000; at += 2) coverage.add(at, 1);
  }).toThrow(/more than/);
});
