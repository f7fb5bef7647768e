import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BasketItem } from "../../state/basket.ts";
import { prepareArchives } from "./archives.ts";

/** Which agent holds which backup. */
const agents: Record<string, string> = { b1: "north", b2: "north", b3: "south" };
let asked: { path: string; body: unknown }[];

beforeEach(() => {
  asked = [];
  // As much of a coordinator as archives ask of it.
  vi.stubGlobal("fetch", async (path: string, init: RequestInit): Promise<Response> => {
    const body = JSON.parse(String(init.body)) as { backup_id: string; disk_index: number };
    asked.push({ path, body });
    if (path === "/api/v1/restore/mount") {
      if (body.backup_id === "gone") return Response.json({ code: "backup_not_found", detail: "No such backup." }, { status: 404 });
      return await Promise.resolve(Response.json({ mount_id: `mnt-${body.backup_id}-${body.disk_index}`, agent_id: agents[body.backup_id], status: "mounted" }));
    }
    return await Promise.resolve(Response.json({ url: "http://agent/v1/archive", selection: "s", expires_at: "2025-10-08T00:00:00Z" }, { status: 201 }));
  });
});
afterEach(() => { vi.unstubAllGlobals(); });

const item = (backupId: string, diskIndex: number, path: string, type: BasketItem["type"] = "file"): BasketItem => ({ backupId, diskIndex, path, type, name: path, size: 1 });
const archivesAsked = (): unknown[] => asked.filter(({ path }) => path === "/api/v1/restore/archives").map(({ body }) => body);

describe("archives of a basket", () => {
  it("open every disk once, and are one when all lies at one site", async () => {
    const made = await prepareArchives([item("b1", 0, "/p1/a"), item("b1", 0, "/p1/b"), item("b2", 1, "/p1/a")], "tar.gz", "basket");
    expect(asked.filter(({ path }) => path === "/api/v1/restore/mount")).toHaveLength(2);
    expect(archivesAsked()).toEqual([
      { format: "tar.gz", name: "basket", items: [{ mount_id: "mnt-b1-0", path: "/p1/a" }, { mount_id: "mnt-b1-0", path: "/p1/b" }, { mount_id: "mnt-b2-1", path: "/p1/a" }] },
    ]);
    expect(made.map(({ name }) => name)).toEqual(["basket.tar.gz"]);
  });

  it("are one for each site, each under its own name", async () => {
    const made = await prepareArchives([item("b1", 0, "/p1/a"), item("b3", 0, "/p1/a")], "zip", "basket");
    expect(made.map(({ name }) => name).toSorted()).toEqual(["basket-north.zip", "basket-south.zip"]);
    expect(archivesAsked()).toHaveLength(2);
  });

  it("hold a thing once that is chosen with the folder it is in", async () => {
    await prepareArchives([item("b1", 0, "/p1/etc/hosts"), item("b1", 0, "/p1/etc", "directory")], "zip", "basket");
    expect(archivesAsked()).toMatchObject([{ items: [{ path: "/p1/etc" }] }]);
  });

  it("are not asked for when a disk can't be opened", async () => {
    await expect(prepareArchives([item("b1", 0, "/p1/a"), item("gone", 0, "/p1/a")], "zip", "basket")).rejects.toMatchObject({ code: "backup_not_found" });
    expect(archivesAsked()).toEqual([]);
  });
});
