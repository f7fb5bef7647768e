import { expect, it } from "vitest";
import { toHttpDate } from "./timestamp.ts";

it("Last-Modified is never in the future", () => {
  const now = new Date("2026-11-23T12:00:00Z");
  expect(toHttpDate({ seconds: 1_759_947_871, nanoseconds: 5, digits: 9 }, now)).toBe("Wed, 08 Oct 2025 18:24:31 GMT");
  expect(toHttpDate({ seconds: 4_102_444_800, nanoseconds: 0, digits: 0 }, now)).toBeUndefined();
});
