import { describe, expect, it } from "vitest";
import { ancestorsOf, cleanPath, joinPath, lastSegment, parentOf } from "./guest-paths.ts";

describe("paths", () => {
  it("have a parent and a last segment", () => {
    expect(["/", "/p1", "/p1/etc/hosts"].map(parentOf)).toEqual(["/", "/", "/p1/etc"]);
    expect(["/", "/p1", "/p1/etc/hosts"].map(lastSegment)).toEqual(["", "p1", "hosts"]);
    expect([joinPath("/", "p1"), joinPath("/p1", "etc")]).toEqual(["/p1", "/p1/etc"]);
    expect(ancestorsOf("/p1/etc")).toEqual(["/", "/p1", "/p1/etc"]);
  });

  it.each([["", "/"], ["p1/etc", "/p1/etc"], ["//p1///etc/", "/p1/etc"], ["/p1/./a/../b", "/p1/b"], ["/../../p1", "/p1"], ["/p1/ a ", "/p1/ a "]])("typed as %j mean %j", (typed, path) => {
    expect(cleanPath(typed)).toBe(path);
  });
});
