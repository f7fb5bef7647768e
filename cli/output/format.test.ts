import { describe, expect, it } from "vitest";
import { formatBytes, formatDuration, formatMode, formatTable, formatTime, parseDuration, textWidth } from "./format.ts";

describe("formats", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [102_349, "100 KiB"],
    [1_048_575, "1.0 MiB"],
    [109_521_666_048, "102 GiB"],
    ["9223372036854775807", "8.0 EiB"],
    [null, "-"],
  ])("%j bytes are %s", (bytes, shown) => {
    expect(formatBytes(bytes)).toBe(shown);
  });

  it.each([
    [0.4, "0:00"],
    [7, "0:07"],
    [725, "12:05"],
    [11_525, "3:12:05"],
  ])("%d seconds are %s", (seconds, shown) => {
    expect(formatDuration(seconds)).toBe(shown);
  });

  it.each([
    ["90", 90],
    ["90s", 90],
    ["15m", 900],
    ["12h", 43_200],
    ["7d", 604_800],
    ["", undefined],
    ["1w", undefined],
    ["-1", undefined],
    ["1.5h", undefined],
  ])("%j is a time of %j seconds", (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each([
    ["file", "0644", "-rw-r--r--"],
    ["directory", "1777", "drwxrwxrwt"],
    ["file", "4755", "-rwsr-xr-x"],
    ["file", "6644", "-rwSr-Sr--"],
    ["symlink", "0777", "lrwxrwxrwx"],
    ["directory", "1000", "d--------T"],
    ["file", null, "-?????????"],
  ])("%s %s is %s, as ls shows it", (type, mode, shown) => {
    expect(formatMode(type, mode)).toBe(shown);
  });

  it("shows times in UTC, to the second", () => {
    expect(formatTime("2025-10-06T18:57:30.481475012Z")).toBe("2025-10-06 18:57:30");
    expect(formatTime(null)).toBe("-");
  });

  it("aligns by what a terminal shows, not by characters", () => {
    expect(textWidth("日本語")).toBe(6);
    expect(textWidth("e\u0301")).toBe(1);
    expect(formatTable([{ title: "A" }, { title: "N", right: true }, { title: "B" }], [["日本", "1", "x"], ["abcde", "100", ""]])).toBe("A        N  B\n日本     1  x\nabcde  100\n");
  });
});
