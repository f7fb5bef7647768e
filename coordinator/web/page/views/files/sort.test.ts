import { describe, expect, it } from "vitest";
import type { Entry } from "../../api/types.ts";
import { extensionOf, mergeRows, naturalKey, SortKeys, sortRows, type SortColumn } from "./sort.ts";

const entry = (name: string, more: Partial<Entry> = {}): Entry => ({ name, path: `/p1/${name}`, type: "file", size: 1, mode: "0644", uid: 0, gid: 0, modified_at: null, ...more });

function sorted(entries: readonly Entry[], column: SortColumn, descending = false): string[] {
  const keys = new SortKeys(column);
  for (const one of entries) keys.add(one);
  return [...sortRows(0, entries.length, keys.order(descending))].map((row) => entries[row]?.name ?? "");
}

describe("sorting", () => {
  it("by name: folders first, numbers by their value, without regard to case and accents", () => {
    const entries = ["file10", "File9", "file9a", "éclair", "eclair2", "z", "file009"].map((name) => entry(name));
    entries.push(entry("zoo", { type: "directory" }));
    expect(sorted(entries, "name")).toEqual(["zoo", "éclair", "eclair2", "File9", "file009", "file9a", "file10", "z"]);
    expect(sorted(entries, "name", true)).toEqual(["zoo", "z", "file10", "file9a", "File9", "file009", "eclair2", "éclair"]);
  });

  it("by size: also beyond 2^53, unknown ones least", () => {
    const entries = [entry("huge", { size: "9223372036854775807" }), entry("big", { size: 9_007_199_254_740_991 }), entry("none", { size: null }), entry("empty", { size: 0 })];
    expect(sorted(entries, "size")).toEqual(["none", "empty", "big", "huge"]);
    expect(sorted(entries, "size", true)).toEqual(["huge", "big", "empty", "none"]);
  });

  it("by time: to the last digit, and through all of the calendar", () => {
    const at = (modified_at: string | null) => entry(String(modified_at), { modified_at });
    const times = [null, "-000001-01-01T00:00:00Z", "1901-12-13T20:45:52Z", "2025-10-08T18:24:31Z", "2025-10-08T18:24:31.000000001Z", "2025-10-08T18:24:31.482Z", "+010000-01-01T00:00:00Z"];
    expect(sorted(times.map(at).toReversed(), "time")).toEqual(times.map(String));
  });

  it("by type: files by their ending, then links, then the rest", () => {
    const entries = [entry("b.txt"), entry("a.zip"), entry("c.txt"), entry("link", { type: "symlink" }), entry("null", { type: "other" }), entry(".bashrc")];
    expect(sorted(entries, "type")).toEqual([".bashrc", "b.txt", "c.txt", "a.zip", "link", "null"]);
  });

  it("takes a long number for larger than a shorter one", () => {
    expect(naturalKey("x12345678901") > naturalKey("x9999999999")).toBe(true);
    expect(naturalKey("x1000000000") > naturalKey("x999999999")).toBe(true);
  });

  it.each([["a.tar.GZ", "gz"], [".bashrc", ""], ["none", ""], ["dot.", ""]])("ending of %s is %j", (name, ending) => {
    expect(extensionOf(name)).toBe(ending);
  });

  it("merges page by page to the same as all at once", () => {
    const entries = Array.from({ length: 3000 }, (_, index) => entry(`f${(index * 7919) % 3000}`));
    const keys = new SortKeys("name");
    let merged = new Uint32Array(0);
    for (let page = 0; page < 3; page += 1) {
      for (const one of entries.slice(page * 1000, (page + 1) * 1000)) keys.add(one);
      const order = keys.order(false);
      merged = new Uint32Array(mergeRows(merged, sortRows(page * 1000, (page + 1) * 1000, order), order));
    }
    expect([...merged].map((row) => entries[row]?.name)).toEqual(Array.from({ length: 3000 }, (_, index) => `f${index}`));
  });
});
