import { describe, expect, it } from "vitest";
import { formatGuestPath, formatName, isWithin, nameCandidates, parseGuestPath, pathFromQuery } from "./guest-path.ts";

const bytes = (...values: number[]): string => String.fromCharCode(...values);

describe("guest paths", () => {
  it("gives every name a form that reads back as that name first", () => {
    const names = ["hosts", "a b", "100%", "100%41", "%FF", "%25", bytes(0xff, 0x41), bytes(0xc3, 0xa9), "\n\t", bytes(0xff, 0x25, 0x34, 0x31)];
    for (const name of names) {
      const [segment] = parseGuestPath(formatGuestPath([name])) ?? [];
      expect(nameCandidates(segment ?? "")[0], JSON.stringify(name)).toBe(name);
    }
  });

  it("keeps UTF-8 readable and escapes what is not UTF-8", () => {
    expect(formatName(bytes(0xc3, 0xa9))).toBe("é");
    expect(formatName(bytes(0xff, 0x61))).toBe("%FFa");
    expect(formatName("50%")).toBe("50%");
  });

  it("refuses what can't be a path inside a guest", () => {
    for (const path of ["/p1/..", "/p1/.", "/p1/%2e%2e/x", "/p1/a%2Fb", "/p1/a%00b", "/p1/\0", `/${"a".repeat(70_000)}`]) {
      expect(parseGuestPath(path), path.slice(0, 20)).toBeUndefined();
    }
  });

  it("treats doubled and trailing slashes as one", () => {
    expect(parseGuestPath("//p1//etc/")).toEqual(["p1", "etc"]);
    expect(parseGuestPath("/")).toEqual([]);
    expect(parseGuestPath("")).toEqual([]);
  });

  it("reads a path parameter byte by byte", () => {
    expect(pathFromQuery("?path=%2Fp1%2Fetc&token=x")).toBe("/p1/etc");
    expect(pathFromQuery("?token=x&path=/p1/%C3%A9+a")).toBe("/p1/é a");
    expect(pathFromQuery("?token=x")).toBeUndefined();
    // The byte itself, and the listing's form of it encoded once more, name the same file.
    expect(pathFromQuery("?path=/p1/%FF")).toBe("/p1/%FF");
    expect(pathFromQuery("?path=/p1/%25FF")).toBe("/p1/%FF");
  });

  it("compares prefixes by whole segments", () => {
    expect(isWithin(["p1", "etc"], ["p1"])).toBe(true);
    expect(isWithin(["p1", "etc"], [])).toBe(true);
    expect(isWithin(["p1etc"], ["p1"])).toBe(false);
    expect(isWithin(["p1"], ["p1", "etc"])).toBe(false);
  });
});
