import { describe, expect, it } from "vitest";
import { EntryNames, tarName, zipName } from "./entry-names.ts";

describe("names of entries that come without the folders above them", () => {
  it("open those folders, each once", () => {
    const names = new EntryNames(tarName, undefined, true);
    for (const [path, isFolder] of [[["a", "x", "f"], false], [["a", "y"], true], [["a", "y", "f"], false], [["a", "z", "x", "f"], false], [["b", "x", "f"], false], [["b", "x", "g"], false]] as const) {
      expect(names.name(path, isFolder)).toBe(path.join("/"));
    }
  });

  it("are safe and apart where a format makes two names one, also of folders that never came", () => {
    const names = new EntryNames(zipName, undefined, true);
    expect(names.name(["a\\b", "f"], false)).toBe("a%5Cb/f");
    expect(names.name(["a%5Cb", "f"], false)).toBe("a%5Cb~2/f");
    expect(names.name(["..", "f"], false)).toBe("%2E%2E/f");
    expect(names.nameOf(["a%5Cb", "f"])).toBe("a%5Cb~2/f");
    expect(names.nameOf(["a\\b", "f"])).toBe("a%5Cb/f");
  });

  it("are refused in a walk of one folder, where they would be a mistake", () => {
    expect(() => new EntryNames(tarName, undefined).name(["a", "f"], false)).toThrow(/walk out of order/);
  });
});
