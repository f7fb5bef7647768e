import { describe, expect, it } from "vitest";
import { nameMatcher } from "./filter.ts";

describe("the filter of a folder", () => {
  it.each([
    ["LOG", "syslog", true], ["log", "lag", false], ["*.log", "a.LOG", true], ["*.log", "a.log.1", false], ["a?c", "abc", true], ["a?c", "ac", false],
    ["(x", "a(x)", true], ["[a]*", "[a]b", true], ["[a]*", "ab", false], ["*\n*", "a\nb", true], ["ö", "GRÖSSE", true],
  ])("%j against %j: %s", (typed, name, matches) => {
    expect(nameMatcher(typed)?.(name) ?? true).toBe(matches || typed.trim() === "");
  });

  it("is none when nothing but blanks is typed", () => {
    expect(nameMatcher("  ")).toBeUndefined();
  });
});
