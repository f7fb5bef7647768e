import { describe, expect, it } from "vitest";
import { hrefOf, parseRoute, type Route } from "./route.ts";

const routes: Route[] = [
  { view: "vms" },
  { view: "vm", vmName: "a/b c#%?" },
  { view: "vm", vmName: "db", backupId: "backup-1" },
  { view: "files", backupId: "backup-1", diskIndex: 0, path: "/" },
  { view: "files", backupId: "backup-1", diskIndex: 12, path: "/p2/etc/100%25 #1?/ümlaut/gr%FC" },
  { view: "mounts" },
  { view: "sites" },
  { view: "events" },
];

describe("an address", () => {
  it.each(routes.map((route) => [hrefOf(route), route] as const))("%s leads to where it was made for", (href, route) => {
    expect(parseRoute(href)).toEqual(route);
  });

  it.each(["", "#", "#/nonsense", "#/files/x", "#/files/x/-1", "#/files/x/0x10/p1", "#/vm/", "#/%"])("%j, which is none of ours, leads to the start", (hash) => {
    expect(parseRoute(hash)).toEqual({ view: "vms" });
  });

  it("keeps an escape that is not well formed as it stands", () => {
    expect(parseRoute("#/files/b/0/p1/50%")).toEqual({ view: "files", backupId: "b", diskIndex: 0, path: "/p1/50%" });
  });
});
