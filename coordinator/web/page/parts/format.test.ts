import { describe, expect, it } from "vitest";
import { formatExact, formatSize, formatSpan } from "./format.ts";

describe("formats", () => {
  it.each([[0, "0 B"], [1023, "1023 B"], [1024, "1.0 KiB"], [1536, "1.5 KiB"], [1048575, "1.0 MiB"], [102 * 2 ** 30, "102 GiB"], ["9223372036854775807", "8.0 EiB"]] as const)("size %s as %s", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
  it.each([[0, "0"], [999, "999"], [1000, "1,000"], ["9223372036854775807", "9,223,372,036,854,775,807"]] as const)("exactly %s as %s", (value, text) => {
    expect(formatExact(value)).toBe(text);
  });
  it.each([[0, "0 s"], [89, "89 s"], [90, "2 min"], [3600, "60 min"], [5400, "1 h 30 min"], [7199, "2 h 00 min"]])("%s seconds as %s", (seconds, text) => {
    expect(formatSpan(seconds)).toBe(text);
  });
});
