import { afterEach, describe, expect, it } from "vitest";
import type { Entry } from "../../api/types.ts";
import { compareFolders } from "./compare.ts";
import { FolderRows, sort } from "./folder-rows.ts";

const entry = (name: string, more: Partial<Entry> = {}): Entry => ({ name, path: `/p1/${name}`, type: "file", size: 1, mode: "0644", uid: 0, gid: 0, modified_at: null, ...more });

// As much of a folder as rows look at.
function folderOf(names: readonly string[]) {
  const count = { value: names.length };
  return { entries: names.map((name) => entry(name)), count };
}

function rowsOf(names: readonly string[]): FolderRows {
  return new FolderRows(folderOf(names) as unknown as ConstructorParameters<typeof FolderRows>[0]);
}

const shown = (rows: FolderRows): string[] => [...rows.order.value].map((row) => rows.entryOf(row)?.name ?? "");

afterEach(() => { sort.value = { column: "name", descending: false }; });

describe("the rows of a folder", () => {
  it("follow the sort and the filter", () => {
    const rows = rowsOf(["b.log", "a.txt", "c.log"]);
    expect(shown(rows)).toEqual(["a.txt", "b.log", "c.log"]);
    sort.value = { column: "name", descending: true };
    expect(shown(rows)).toEqual(["c.log", "b.log", "a.txt"]);
    rows.filter.value = "log";
    expect(shown(rows)).toEqual(["c.log", "b.log"]);
  });

  it("show what is gone at its place, and what became of the others", () => {
    const rows = rowsOf(["a", "c", "d"]);
    rows.comparison.value = compareFolders(rows.folder.entries, [entry("a"), entry("b"), entry("c", { size: 9 })]);
    expect(shown(rows)).toEqual(["a", "b", "c", "d"]);
    expect([...rows.order.value].map((row) => rows.changeOf(row))).toEqual([0, 3, 2, 1]);
    rows.comparison.value = undefined;
    expect(shown(rows)).toEqual(["a", "c", "d"]);
  });
});
