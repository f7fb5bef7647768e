import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Mount } from "./types.ts";

// The client keeps its token in the tab's storage, which Node has not.
vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => undefined, removeItem: () => undefined });
const { openDisk } = await import("./disks.ts");

const mount = (changes: Partial<Mount>): Mount => ({
  mount_id: "mnt-1", backup_id: "b", backup_disk_id: 1, disk_index: 0, agent_id: "a", nbd_device: null, mount_path: null, filesystem_type: null, volumes: [],
  status: "mounting", created_at: "2026-01-01T00:00:00.000Z", last_accessed_at: "2026-01-01T00:00:00.000Z", expires_at: "2026-01-01T01:00:00.000Z", ...changes,
});

let asked: string[];
/** Answers one after the other, whatever is asked. */
function answer(...answers: readonly { status: number; body: unknown }[]): void {
  const left = [...answers];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    init.signal?.throwIfAborted();
    asked.push(`${init.method ?? "GET"} ${url}`);
    const next = left.shift();
    return new Response(JSON.stringify(next?.body), { status: next?.status ?? 500 });
  });
}

beforeEach(() => { asked = []; });
afterEach(() => { vi.unstubAllGlobals(); });

describe("opening a disk", () => {
  it("waits for one that takes longer", async () => {
    answer({ status: 202, body: mount({}) }, { status: 200, body: mount({}) }, { status: 200, body: mount({ status: "mounted" }) });
    expect((await openDisk("b", 0)).status).toBe("mounted");
    expect(asked).toEqual(["POST /api/v1/restore/mount", "GET /api/v1/restore/mnt-1", "GET /api/v1/restore/mnt-1"]);
  });

  it("fails with what the mount failed with", async () => {
    answer({ status: 202, body: mount({}) }, { status: 200, body: mount({ status: "failed", error: { code: "corrupt", detail: "The header is damaged." } }) });
    await expect(openDisk("b", 0)).rejects.toMatchObject({ code: "corrupt", message: "The header is damaged." });
  });

  it("is given up when nobody wants it any more", async () => {
    answer({ status: 202, body: mount({}) }, { status: 200, body: mount({}) });
    const abort = new AbortController();
    const opening = openDisk("b", 0, abort.signal);
    abort.abort();
    await expect(opening).rejects.toMatchObject({ name: "AbortError" });
  });
});
