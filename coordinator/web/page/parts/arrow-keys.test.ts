import { expect, it } from "vitest";
import { targetOf } from "./arrow-keys.ts";

it.each([
  ["ArrowDown", -1, 3, 0], ["ArrowDown", 0, 3, 1], ["ArrowDown", 2, 3, 2],
  ["ArrowUp", 2, 3, 1], ["ArrowUp", 0, 3, -1], ["ArrowUp", -1, 3, -1],
  ["Home", 2, 3, 0], ["End", 0, 3, 2], ["Home", -1, 3, undefined], ["End", -1, 3, undefined],
  ["ArrowDown", -1, 0, undefined], ["a", 0, 3, undefined],
] as const)("%s at row %s of %s leads to %s", (key, at, count, target) => {
  expect(targetOf(key, at, count)).toBe(target);
});
