import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Hono } from "hono";
import { problemResponse } from "../../coordinator/routes/problem-response.ts";
import { restoreRoutes } from "../../coordinator/routes/restore.ts";
import type { AppEnv } from "../../coordinator/routes/router.ts";
import { cleanupStatusSchema, type Mount, mountListSchema, mountSchema, resourcesSchema } from "../../shared/api.ts";
import { verifyLink } from "../../shared/link.ts";
import { startTestMariadb, type TestMariadb } from "../tools/mariadb.ts";
import type { FakeAgent } from "./fake-agent.ts";
import { eventually, makeSite, type Site, type TestCoordinator } from "./site.ts";

// Property: the restore routes answer with the right status, and redirect to links that open just what was asked for.

let mariadb: TestMariadb;
let site: Site;
let coordinator: TestCoordinator;
let agent: FakeAgent;
let mount: Mount;
const app = new Hono<AppEnv>();

beforeAll(async () => {
  mariadb = await startTestMariadb();
  site = await makeSite(mariadb);
  coordinator = await site.coordinator({ mountWaitS: 1 });
  agent = site.agent({ publicUrl: "https://agent.test/base/" });
  await eventually("the agent is online", () => coordinator.fleet.isOnline("agent-a"));
  app.use(async (c, next) => {
    c.set("ctx", { ...coordinator.ctx, actor: { name: "anna", role: "operator" } });
    await next();
  });
  app.onError((error, c) => problemResponse(c, error, "r1"));
  app.route("/", restoreRoutes);
  const response = await call("POST", "/restore/mount", { backup_id: "backup-1" });
  expect(response.status).toBe(201);
  mount = mountSchema.parse(await response.json());
  expect(response.headers.get("location")).toBe(`/api/v1/restore/${mount.mount_id}`);
});
afterAll(async () => {
  await site.stop();
  await mariadb.stop();
});

function call(method: string, path: string, body?: unknown): Promise<Response> {
  return Promise.resolve(
    app.request(path, { method, ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body), headers: { "content-type": "application/json" } }) }),
  );
}
async function problem(response: Response): Promise<[number, string]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return [response.status, ((await response.json()) as { code: string }).code];
}

describe("POST /restore/mount", () => {
  it("answers 200 for a disk that is open", async () => {
    const response = await call("POST", "/restore/mount", { backup_id: "backup-1", disk_index: 0 });
    expect([response.status, mountSchema.parse(await response.json()).mount_id]).toEqual([200, mount.mount_id]);
  });

  it("answers 202 when it takes longer than the wait", async () => {
    agent.mountDelayMs = 1500;
    const response = await call("POST", "/restore/mount", { backup_id: "backup-1", disk_index: 3 });
    const pending = mountSchema.parse(await response.json());
    expect([response.status, pending.status, response.headers.get("location")]).toEqual([202, "mounting", `/api/v1/restore/${pending.mount_id}`]);
    agent.mountDelayMs = 0;
    await eventually("it is mounted", async () => mountSchema.parse(await (await call("GET", `/restore/${pending.mount_id}`)).json()).status === "mounted");
    expect((await call("DELETE", `/restore/${pending.mount_id}`)).status).toBe(204);
  });

  it.each([
    ["no backup", { backup_id: "nope" }, [404, "backup_not_found"]],
    ["no disk", { backup_id: "backup-1", disk_index: 77 }, [404, "disk_not_found"]],
    ["a negative index", { backup_id: "backup-1", disk_index: -1 }, [400, "invalid_request"]],
    ["a fraction", { backup_id: "backup-1", disk_index: 0.5 }, [400, "invalid_request"]],
    ["a text", { backup_id: "backup-1", disk_index: "0" }, [400, "invalid_request"]],
    ["a huge number", { backup_id: "backup-1", disk_index: 1e300 }, [400, "invalid_request"]],
    ["an unknown member", { backup_id: "backup-1", disk: 0 }, [400, "invalid_request"]],
    ["an empty id", { backup_id: "" }, [400, "invalid_request"]],
  ])("refuses %s", async (_, body, expected) => {
    expect(await problem(await call("POST", "/restore/mount", body))).toEqual(expected);
  });

  it("passes Retry-After on when the slots are taken", async () => {
    agent.refuse = { code: "nbd_devices_exhausted", detail: "All taken." };
    const response = await call("POST", "/restore/mount", { backup_id: "backup-1", disk_index: 2 });
    agent.refuse = undefined;
    expect(response.headers.get("retry-after")).toBe("7");
    expect(await problem(response)).toEqual([503, "nbd_devices_exhausted"]);
  });
});

describe("redirects", () => {
  it.each([
    ["files?path=%2Fdisk%2Fetc&recursive=true&limit=50&cursor=abc", "files", "browse", "/disk/etc", { recursive: "true", limit: "50", cursor: "abc" }],
    ["files", "files", "browse", "/", {}],
    ["file-info?path=/disk/a%20b", "file-info", "browse", "/disk/a b", {}],
    ["download?path=/disk/x%FFy", "download", "download", "/disk/x%FFy", {}],
    ["download?path=/disk/50%2525", "download", "download", "/disk/50%25", {}],
    ["download-directory?path=/disk/etc&format=tar.gz&on_error=report", "archive", "archive", "/disk/etc", { format: "tar.gz", on_error: "report" }],
    ["download-directory?path=/disk/etc", "archive", "archive", "/disk/etc", { format: "zip" }],
  ] as const)("%s", async (query, route, operation, path, parameters) => {
    const response = await call("GET", `/restore/${mount.mount_id}/${query}`);
    expect([response.status, response.headers.get("cache-control")]).toEqual([307, "no-store"]);
    const url = new URL(response.headers.get("location") ?? "");
    expect(`${url.origin}${url.pathname}`).toBe(`https://agent.test/base/v1/mounts/${mount.mount_id}/${route}`);
    const given = Object.fromEntries(url.searchParams);
    const { token, path: sentPath, ...rest } = given;
    expect([sentPath, rest]).toEqual([path, parameters]);
    const format = "format" in parameters ? { format: parameters.format } : {};
    const link = await verifyLink(token ?? "", await coordinator.ctx.links.jwks(), { agentId: "agent-a", mountId: mount.mount_id, operation, path, ...format });
    expect(link).toMatchObject({ user: "anna", operation, path });
    expect(link.expiresAt.getTime() - Date.now()).toBeLessThanOrEqual(300_000);
    const [event] = await site.database.query("SELECT * FROM restore_events WHERE link_id = ?", [link.linkId]);
    expect(event).toMatchObject({ type: "link_issued", actor: "anna", path, operation, mount_id: mount.mount_id, backup_id: "backup-1", disk_index: 0, agent_id: "agent-a" });
  });

  it.each([
    ["files?path=/a/../b"],
    ["files?path=/a/./b"],
    ["download?path=/a%00b"],
    ["download"],
    ["download?path="],
    [`download?path=/${"a".repeat(70_000)}`],
    ["files?path=/a&limit=0"],
    ["files?path=/a&recursive=maybe"],
    ["download-directory?path=/a&format=rar"],
    ["download-directory?path=/a&on_error=ignore"],
  ])("refuses %s", async (query) => {
    expect(await problem(await call("GET", `/restore/${mount.mount_id}/${query}`))).toEqual([400, "invalid_request"]);
  });

  it("says that a mount is not there, or its id can't be one", async () => {
    expect(await problem(await call("GET", "/restore/mnt-none/files"))).toEqual([404, "mount_not_found"]);
    expect(await problem(await call("GET", "/restore/mnt-none"))).toEqual([404, "mount_not_found"]);
    expect(await problem(await call("GET", "/restore/..%2Fx/files"))).toEqual([400, "invalid_request"]);
    expect(await problem(await call("DELETE", "/restore/%20"))).toEqual([400, "invalid_request"]);
  });
});

describe("POST /restore/{mount_id}/links", () => {
  it("makes a link of the life asked for", async () => {
    const response = await call("POST", `/restore/${mount.mount_id}/links`, { operation: "archive", path: "/disk", ttl_s: 3600 });
    const { url, expires_at } = (await response.json()) as { url: string; expires_at: string };
    expect([response.status, response.headers.get("cache-control")]).toEqual([201, "no-store"]);
    expect(Date.parse(expires_at) - Date.now()).toBeGreaterThan(3_590_000);
    expect(new URL(url).searchParams.get("format")).toBe("zip");
  });

  it.each([
    ["an unknown operation", { operation: "delete", path: "/" }],
    ["a format that is none", { operation: "archive", path: "/", format: "rar" }],
    ["a format for a file", { operation: "download", path: "/x", format: "zip" }],
    ["a life too long", { operation: "download", path: "/x", ttl_s: 8 * 24 * 3600 }],
    ["a path that leaves", { operation: "download", path: "/x/.." }],
    ["no path", { operation: "download" }],
  ])("refuses %s", async (_, body) => {
    expect(await problem(await call("POST", `/restore/${mount.mount_id}/links`, body))).toEqual([400, "invalid_request"]);
  });
});

describe("figures", () => {
  it("shows slots, mounts and the sweep in the form they are documented in", async () => {
    expect(resourcesSchema.parse(await (await call("GET", "/restore/resources")).json()).agents).toEqual([
      { agent_id: "agent-a", online: true, slots_total: 16, slots_used: 1, slots_free: 15 },
      { agent_id: "agent-b", online: false, slots_total: 0, slots_used: 0, slots_free: 0 },
    ]);
    expect(mountListSchema.parse(await (await call("GET", "/restore/mounts")).json()).mounts.map((each) => each.mount_id)).toEqual([mount.mount_id]);
    expect(cleanupStatusSchema.parse(await (await call("GET", "/restore/cleanup-status")).json()).expiring).toHaveLength(1);
  });
});

describe("when the agent goes", () => {
  it("says so, and a mount that is ended meanwhile is gone for the user", async () => {
    agent.kill();
    await eventually("it is offline", () => !coordinator.fleet.isOnline("agent-a"));
    const response = await call("GET", `/restore/${mount.mount_id}/files`);
    expect(response.headers.get("retry-after")).not.toBeNull();
    expect(await problem(response)).toEqual([503, "agent_offline"]);
    expect(await problem(await call("POST", "/restore/mount", { backup_id: "backup-1" }))).toEqual([503, "agent_offline"]);
    for (let time = 0; time < 2; time += 1) expect((await call("DELETE", `/restore/${mount.mount_id}`)).status).toBe(204);
    expect(await problem(await call("GET", `/restore/${mount.mount_id}/files`))).toEqual([404, "mount_not_found"]);
  });
});
