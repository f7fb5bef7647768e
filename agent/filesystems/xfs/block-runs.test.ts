import { expect, test } from "vitest";
import { pushRun, remap, type BlockRun } from "./block-runs.ts";
import { hole } from "./extent-record.ts";

const run = (logical: number, count: number, offsetBytes: number): BlockRun => ({ logical, count, offsetBytes });

test("runs that go on from one another become one", () => {
  const runs: BlockRun[] = [];
  for (const next of [run(0, 2, 4096), run(2, 1, 5120), run(3, 1, 9216), run(4, 1, hole), run(5, 5, hole), run(10, 1, 0)]) pushRun(runs, next, 512);
  expect(runs).toEqual([run(0, 3, 4096), run(3, 1, 9216), run(4, 6, hole), run(10, 1, 0)]);
});

test("later mappings lie over earlier ones", () => {
  const stored = [run(0, 10, 512 * 100), run(10, 10, hole)];
  expect(remap(stored, [run(2, 3, hole), run(4, 8, 512 * 900)], 512)).toEqual([
    run(0, 2, 512 * 100), run(2, 2, hole), run(4, 8, 512 * 900), run(12, 8, hole),
  ]);
  expect(remap(stored, [run(50, 3, 0)], 512)).toEqual(stored);
});
