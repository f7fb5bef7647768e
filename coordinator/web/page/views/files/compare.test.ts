import { describe, expect, it } from "vitest";
import type { Entry } from "../../api/types.ts";
import { change, compareFolders } from "./compare.ts";

const entry = (name: string, more: Partial<Entry> = {}): Entry => ({ name, path: `/p1/${name}`, type: "file", size: 1, mode: "0644", uid: 0, gid: 0, modified_at: "2025-10-08T18:24:31.482Z", ...more });

describe("a folder against the restore point before", () => {
  it("tells added, changed, gone and the same apart", () => {
    const before = [entry("same"), entry("size"), entry("time"), entry("mode"), entry("type"), entry("link", { type: "symlink", symlink_target: "a" }), entry("gone")];
    const now = [
      entry("same", { uid: 5 }), entry("size", { size: 2 }), entry("time", { modified_at: "2025-10-08T18:24:31.483Z" }), entry("mode", { mode: "0600" }),
      entry("type", { type: "directory" }), entry("link", { type: "symlink", symlink_target: "b" }), entry("new"),
    ];
    const found = compareFolders(now, before);
    expect([...found.changes]).toEqual([change.none, change.changed, change.changed, change.changed, change.changed, change.changed, change.added]);
    expect(found).toMatchObject({ added: 1, changed: 5, gone: [before[6]] });
  });

  it("goes by the exact name where two look the same", () => {
    const now = [entry("b\ufffd", { path: "/p1/b%FF" })];
    const before = [entry("b\ufffd", { path: "/p1/b%FE" })];
    expect(compareFolders(now, before)).toMatchObject({ added: 1, gone: before });
  });

  it("does not mind how a folder stores its names", () => {
    expect(compareFolders([entry("d", { type: "directory", size: 8192 })], [entry("d", { type: "directory", size: 4096 })])).toMatchObject({ added: 0, changed: 0, gone: [] });
  });
});
