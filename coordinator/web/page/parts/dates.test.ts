import { describe, expect, it } from "vitest";
import { formatCountdown, formatDay } from "./dates.ts";

describe("dates", () => {
  it.each([[0, "0:00"], [-5, "0:00"], [1, "0:01"], [61_000, "1:01"], [3_599_001, "1:00:00"], [3_540_000, "59:00"], [90_061_000, "25:01:01"]])("%s ms left as %s", (leftMs, text) => {
    expect(formatCountdown(leftMs)).toBe(text);
  });

  it("days are written out; one that is not known says so", () => {
    expect([formatDay("2025-10-09"), formatDay("")]).toEqual(["Thursday 9 October 2025", "Day unknown"]);
  });
});
