import { expect, test } from "vitest";
import { hole } from "./block-runs.ts";
import { ExtentPainter } from "./extent-painter.ts";

function paint(...layers: [start: number, end: number, physical: number][]): number[][] {
  const painter = new ExtentPainter();
  for (const layer of layers) painter.paint(...layer);
  const { logical, length, physical } = painter.toExtents();
  return Array.from(logical, (start, i) => [start, length[i]!, physical[i]!]);
}

test("what is painted last is seen", () => {
  expect(paint([0, 10, 100], [3, 5, 500])).toEqual([[0, 3, 100], [3, 2, 500], [5, 5, 105]]);
});

test("a hole takes mappings away, and a later mapping fills it", () => {
  expect(paint([0, 10, 100], [2, 8, hole], [4, 6, 900])).toEqual([[0, 2, 100], [4, 2, 900], [8, 2, 108]]);
});

test("nothing painted is nothing mapped", () => {
  expect(paint()).toEqual([]);
  expect(paint([5, 5, 1])).toEqual([]);
});

test("random layers give what painting block by block gives", () => {
  let state = 12345;
  const random = (below: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % below;
  for (let round = 0; round < 200; round++) {
    const painter = new ExtentPainter();
    const expected = new Array<number>(60).fill(hole);
    for (let layer = random(12); layer >= 0; layer--) {
      const start = random(55);
      const end = start + random(60 - start);
      const physical = random(3) === 0 ? hole : 1000 + random(1000);
      painter.paint(start, end, physical);
      for (let i = start; i < end; i++) expected[i] = physical === hole ? hole : physical + i - start;
    }
    const actual = new Array<number>(60).fill(hole);
    const { logical, length, physical } = painter.toExtents();
    logical.forEach((start, i) => {
      for (let j = 0; j < length[i]!; j++) actual[start + j] = physical[i]! + j;
    });
    expect(actual).toEqual(expected);
  }
});
