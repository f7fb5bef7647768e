import { describe, expect, it } from "vitest";
import { commonBeginning, completions, splitTyped } from "./path-completion.ts";

const entries = [
  { path: "/p2/etc", type: "directory" as const },
  { path: "/p2/Etc2", type: "directory" as const },
  { path: "/p2/etcetera.txt", type: "file" as const },
  { path: "/p2/100%25", type: "file" as const },
];

describe("completing a typed path", () => {
  it.each([["/p2/et", "/p2", "et"], ["/p2/", "/p2", ""], ["/", "/", ""], ["p2", "/", "p2"], ["", "/", ""], ["/p2/a/../b", "/p2", "b"]])("%j asks %j for %j", (typed, folder, beginning) => {
    expect(splitTyped(typed)).toEqual({ folder, beginning });
  });

  it("offers what begins so, exactly if there is such, else in any case", () => {
    expect(completions("et", entries)).toEqual(["/p2/etc/", "/p2/etcetera.txt"]);
    expect(completions("ETC2", entries)).toEqual(["/p2/Etc2/"]);
    expect(completions("1", entries)).toEqual(["/p2/100%25"]);
    expect(completions("nothing", entries)).toEqual([]);
    expect(completions("", Array.from({ length: 500 }, (_, index) => ({ path: `/f${index}`, type: "file" as const })))).toHaveLength(12);
  });

  it("fills in what all have in common", () => {
    expect(commonBeginning(["/p2/etc/", "/p2/etcetera.txt"])).toBe("/p2/etc");
    expect(commonBeginning(["/a"])).toBe("/a");
    expect(commonBeginning([])).toBe("");
  });
});
