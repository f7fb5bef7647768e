import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { problemResponse } from "../../coordinator/routes/problem-response.ts";
import { restoreRoutes } from "../../coordinator/routes/restore.ts";
import type { AppEnv } from "../../coordinator/routes/router.ts";
import { createdArchiveSchema, type Mount, mountSchema } from "../../shared/api.ts";
import { verifySelectionLink } from "../../shared/link.ts";
import { decodeSelection, hashSelection } from "../../shared/selection.ts";
import { startTestMariadb, type TestMariadb } from "../tools/mariadb.ts";
import type { FakeAgent } from "./fake-agent.ts";
import { eventually, makeSite, type Site, type TestCoordinator } from "./site.ts";

// Property: a link to an archive is for just what was picked, of one agent's mounts that are open; and a lease
// is extended only while there is one.

let mariadb: TestMariadb;
let site: Site;
let coordinator: TestCoordinator;
let agentA: FakeAgent;
let first: Mount;
let second: Mount;
let elsewhere: Mount;
const app = new Hono<AppEnv>();

beforeAll(async () => {
  mariadb = await startTestMariadb();
  site = await makeSite(mariadb);
  await site.database.query("INSERT INTO vm_backup_contexts (context_id, vm_name, repository_id) VALUES ('ctx-b', 'web', 'site-b')");
  for (const [id, context, vm] of [["backup-2", "ctx-a", "pgtest1"], ["backup-b", "ctx-b", "web"]] as const) {
    await site.database.query("INSERT INTO backup_jobs (id, vm_backup_context_id, vm_name, backup_type, status) VALUES (?, ?, ?, 'full', 'completed')", [id, context, vm]);
    await site.database.query("INSERT INTO backup_disks (vm_backup_context_id, backup_job_id, disk_index, qcow2_path, status) VALUES (?, ?, 0, 'x.qcow2', 'completed')", [context, id]);
  }
  coordinator = await site.coordinator({ mountWaitS: 5 });
  agentA = site.agent({ publicUrl: "https://agent.test/base/" });
  site.agent({ id: "agent-b", repositoryId: "site-b", publicUrl: "https://other.test" });
  await eventually("the agents are online", () => coordinator.fleet.isOnline("agent-a") && coordinator.fleet.isOnline("agent-b"));
  app.use(async (c, next) => {
    c.set("ctx", { ...coordinator.ctx, actor: { name: "anna", role: "operator" } });
    await next();
  });
  app.onError((error, c) => problemResponse(c, error, "r1"));
  app.route("/", restoreRoutes);
  first = await mount("backup-1", 0);
  second = await mount("backup-1", 1);
  elsewhere = await mount("backup-b", 0);
});
afterAll(async () => {
  await site?.stop();
  await mariadb?.stop();
});

async function mount(backupId: string, diskIndex: number): Promise<Mount> {
  return mountSchema.parse(await (await call("POST", "/restore/mount", { backup_id: backupId, disk_index: diskIndex })).json());
}

function call(method: string, path: string, body?: unknown): Promise<Response> {
  return Promise.resolve(app.request(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }) }));
}

const of = (from: Mount, ...paths: string[]): { mount_id: string; path: string }[] => paths.map((path) => ({ mount_id: from.mount_id, path }));

async function refusal(response: Response): Promise<{ status: number; code: string; detail: string }> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return { status: response.status, ...((await response.json()) as { code: string; detail: string }) };
}

describe("POST /restore/archives", () => {
  it("signs for the selection, the agent and the format, and writes each mount to the trail", async () => {
    const response = await call("POST", "/restore/archives", { format: "tar.gz", items: [...of(second, "/disk/x"), ...of(first, "/p1/a", "/p1/ünï%FF")] });
    expect([response.status, response.headers.get("cache-control")]).toEqual([201, "no-store"]);
    const { url, selection, expires_at } = createdArchiveSchema.parse(await response.json());
    expect(url).toMatch(/^https:\/\/agent\.test\/base\/v1\/archive\?token=[^&]+$/);
    expect(decodeSelection(selection)).toMatchObject({
      name: "backup-1",
      mounts: [
        { mount_id: second.mount_id, folder: "backup-1-disk-1", paths: ["/disk/x"] },
        { mount_id: first.mount_id, folder: "backup-1-disk-0", paths: ["/p1/a", "/p1/ünï%FF"] },
      ],
    });
    const link = await verifySelectionLink(new URL(url).searchParams.get("token") ?? "", await coordinator.ctx.links.jwks(), "agent-a");
    expect(link).toMatchObject({ format: "tar.gz", user: "anna", selectionSha256: hashSelection(selection), keyId: "k1" });
    expect(link.expiresAt.toISOString()).toBe(new Date(expires_at).toISOString());
    const events = await site.database.query("SELECT type, actor, path, operation, mount_id, backup_id, disk_index, agent_id, outcome FROM restore_events WHERE link_id = ? ORDER BY disk_index", [link.linkId]);
    const about = { type: "link_issued", actor: "anna", operation: "archive", backup_id: "backup-1", agent_id: "agent-a", outcome: "archive" };
    expect(events).toEqual([
      { ...about, path: "/p1/a\n/p1/ünï%FF", mount_id: first.mount_id, disk_index: 0 },
      { ...about, path: "/disk/x", mount_id: second.mount_id, disk_index: 1 },
    ]);
  });

  it("names it as asked, else after the backup, else after the VM; zip is the default", async () => {
    const other = await mount("backup-2", 0);
    for (const [more, items, name] of [
      [{ name: "mine" }, of(first, "/"), "mine"],
      [{ name: "mine.ZIP" }, of(first, "/"), "mine"],
      [{ name: ".zip" }, of(first, "/"), ".zip"],
      [{ name: "mine.zip", format: "tar" }, of(first, "/"), "mine.zip"],
      [{}, [...of(first, "/"), ...of(second, "/")], "backup-1"],
      [{}, [...of(first, "/"), ...of(other, "/")], "pgtest1"],
    ] as const) {
      const { selection } = createdArchiveSchema.parse(await (await call("POST", "/restore/archives", { items, ...more })).json());
      expect(decodeSelection(selection).name, JSON.stringify(more)).toBe(name);
    }
  });

  it("is refused for mounts of several agents, and says which are where", async () => {
    const refused = await refusal(await call("POST", "/restore/archives", { format: "zip", items: [...of(first, "/"), ...of(elsewhere, "/"), ...of(second, "/")] }));
    expect([refused.status, refused.code]).toEqual([400, "invalid_request"]);
    expect(refused.detail).toContain(`agent-a has ${first.mount_id}, ${second.mount_id}; agent-b has ${elsewhere.mount_id}`);
  });

  it.each([
    ["no items", { items: [] }],
    ["a path that leaves", { items: [{ mount_id: "m", path: "/a/../b" }] }],
    ["a path with a NUL byte", { items: [{ mount_id: "m", path: "/a%00" }] }],
    ["an unknown member", { items: [{ mount_id: "m", path: "/", recursive: true }] }],
    ["a format that is none", { format: "rar", items: [{ mount_id: "m", path: "/" }] }],
    ["an empty name", { name: "", items: [{ mount_id: "m", path: "/" }] }],
    ["an id that can't be one", { items: [{ mount_id: "m ", path: "/" }] }],
  ])("refuses %s", async (_, body) => {
    expect(await refusal(await call("POST", "/restore/archives", { format: "zip", ...body }))).toMatchObject({ status: 400, code: "invalid_request" });
  });
});

describe("POST /restore/{mount_id}/extend", () => {
  it("slides the lease of what is open or being opened, and of nothing else", async () => {
    const expiry = async (): Promise<number> => new Date((await site.rows()).find(({ id }) => id === first.mount_id)?.expires_at ?? 0).getTime();
    await site.database.query("UPDATE restore_mounts SET expires_at = UTC_TIMESTAMP(3), last_accessed_at = UTC_TIMESTAMP(3) - INTERVAL 1 HOUR WHERE id = ?", [first.mount_id]);
    const before = Date.now();
    const extended = mountSchema.parse(await (await call("POST", `/restore/${first.mount_id}/extend`)).json());
    expect(Date.parse(extended.expires_at)).toBeGreaterThanOrEqual(before + 3_600_000 - 1000);
    expect(Date.parse(extended.expires_at)).toBe(await expiry());
    // Further away already, as after a heartbeat of another clock: never back.
    await site.database.query("UPDATE restore_mounts SET expires_at = UTC_TIMESTAMP(3) + INTERVAL 1 DAY WHERE id = ?", [first.mount_id]);
    const far = await expiry();
    await call("POST", `/restore/${first.mount_id}/extend`);
    expect(await expiry()).toBe(far);
    agentA.refuse = { code: "corrupt", detail: "No header." };
    await call("POST", "/restore/mount", { backup_id: "backup-1", disk_index: 3 });
    agentA.refuse = undefined;
    const failed = (await site.rows()).find(({ status }) => status === "failed");
    expect(await refusal(await call("POST", `/restore/${failed?.id ?? ""}/extend`))).toMatchObject({ status: 404, code: "mount_not_found" });
    // The agent does not end it: the row stays in "unmounting".
    agentA.refuseUnmount = { code: "internal", detail: "no" };
    await call("DELETE", `/restore/${second.mount_id}`);
    expect((await site.rows()).find(({ id }) => id === second.mount_id)?.status).toBe("unmounting");
    const leaseOf = async (): Promise<unknown> => (await site.rows()).find(({ id }) => id === second.mount_id)?.expires_at;
    const left = await leaseOf();
    expect(await refusal(await call("POST", `/restore/${second.mount_id}/extend`))).toMatchObject({ status: 404, code: "mount_not_found" });
    expect(await leaseOf()).toEqual(left);
    expect(await refusal(await call("POST", "/restore/archives", { format: "zip", items: of(second, "/") }))).toMatchObject({ status: 404, code: "mount_not_found" });
    const trail = await site.database.query("SELECT mount_id, actor, outcome FROM restore_events WHERE type = 'extended'");
    expect(trail).toEqual([0, 1].map(() => ({ mount_id: first.mount_id, actor: "anna", outcome: "complete" })));
  });
});
