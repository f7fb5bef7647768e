import { expect, test } from "vitest";
import { toExtents } from "./extents.ts";

const DATA = 0;
const HOLE_AND_ZERO = 3;
const ZERO = 2;
const HOLE_ONLY = 1;

test("joins neighbours of one kind and cuts off what was not asked for", () => {
  const descriptors = [
    { length: 1000, flags: DATA },
    { length: 500, flags: HOLE_AND_ZERO },
    { length: 500, flags: ZERO },
    { length: 9999, flags: DATA },
  ];
  expect(toExtents(descriptors, 0, 100, 2400)).toEqual([
    { offset: 100, length: 900, hole: false },
    { offset: 1000, length: 1000, hole: true },
    { offset: 2000, length: 500, hole: false },
  ]);
});

test("an unallocated range that may not read as zeros is data", () => {
  expect(toExtents([{ length: 10, flags: HOLE_ONLY }], 0, 0, 10)).toEqual([{ offset: 0, length: 10, hole: false }]);
});

test("stops where the server's answer stops", () => {
  expect(toExtents([{ length: 4096, flags: ZERO }], 512, 1000, 100_000)).toEqual([{ offset: 1000, length: 3608, hole: true }]);
});

test("without an answer the range counts as data", () => {
  expect(toExtents([], 0, 5, 10)).toEqual([{ offset: 5, length: 10, hole: false }]);
  expect(toExtents([{ length: 4, flags: ZERO }], 0, 5, 10)).toEqual([{ offset: 5, length: 10, hole: false }]);
});
