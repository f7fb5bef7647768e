import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestMariadb, type TestDatabase, type TestMariadb } from "../tools/mariadb.ts";
import { adminToken, createSite, type TestSite } from "./test-context.ts";

let mariadb: TestMariadb;
let database: TestDatabase;
let site: TestSite;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => {
  await mariadb?.stop();
});
beforeEach(async () => {
  database = await mariadb.create();
  site = await createSite(database);
});

describe("access", () => {
  it("is refused to everything but /healthz and the page without a valid token", async () => {
    const paths = ["/api/v1/backups", "/api/v1/repositories", "/api/v1/nothing", "/metrics", "/openapi.json", "/api/v1/restore/mounts", "/somewhere"];
    for (const path of paths) {
      for (const token of [null, "wrong", `${adminToken}x`, ""]) {
        const { status, body, headers } = await site.request("GET", path, { token });
        expect([status, body.code], `${path} with ${String(token)}`).toEqual([401, "unauthenticated"]);
        expect(headers.get("WWW-Authenticate")).toMatch(/^Bearer/);
        expect(headers.get("Content-Type")).toBe("application/problem+json");
      }
    }
    expect((await site.request("GET", "/healthz", { token: null })).body).toEqual({ status: "ok", database: true, broker: true });
    // Not built in this test: it says so, and asks for no token.
    const page = await site.request("GET", "/", { token: null });
    expect([page.status, page.headers.get("Content-Type")]).toEqual([503, "text/html; charset=UTF-8"]);
    expect((await site.request("GET", "/api/v1/backups", { token: null, headers: { Authorization: `Basic ${adminToken}` } })).status).toBe(401);
  });

  it("by token: shown once, hashed at rest, ended by revoking and by time", async () => {
    let now = new Date("2026-01-01T00:00:00Z");
    site = await createSite(database, { now: () => now });
    const made = await site.request("POST", "/api/v1/tokens", { body: { name: "night shift", ttl_s: 3600 } });
    expect([made.status, made.body.role]).toEqual([201, "operator"]);
    const { token, id } = made.body;
    expect((await site.request("GET", "/api/v1/backups", { token })).status).toBe(200);

    const dump = await database.dump();
    expect(dump).not.toContain(token);
    const listed = await site.request("GET", "/api/v1/tokens");
    expect(JSON.stringify(listed.body)).not.toContain(token);
    expect(listed.body.tokens).toMatchObject([{ id, name: "night shift", expires_at: "2026-01-01T01:00:00.000Z" }]);

    now = new Date("2026-01-01T01:00:01Z");
    expect((await site.request("GET", "/api/v1/backups", { token })).body.detail).toMatch(/expired/);
    now = new Date("2026-01-01T00:00:00Z");
    expect((await site.request("DELETE", `/api/v1/tokens/${id}`)).status).toBe(204);
    expect((await site.request("DELETE", `/api/v1/tokens/${id}`)).status).toBe(204);
    expect((await site.request("GET", "/api/v1/backups", { token })).status).toBe(401);
    expect(site.log.join("")).not.toContain(token);
  });

  it("as an operator does not reach tokens, sites and deletions", async () => {
    const { body: { token } } = await site.request("POST", "/api/v1/tokens", { body: { name: "operator" } });
    for (const [method, path, body] of [
      ["GET", "/api/v1/tokens", undefined], ["POST", "/api/v1/tokens", { name: "x", role: "admin" }], ["DELETE", "/api/v1/tokens/x", undefined],
      ["POST", "/api/v1/repositories", { id: "r2" }], ["POST", "/api/v1/agents", { id: "a2", repository_id: "r1" }], ["DELETE", "/api/v1/backups/b1", undefined],
    ] as const) {
      const { status, body: problem } = await site.request(method, path, { token, ...(body === undefined ? {} : { body }) });
      expect([status, problem.code], `${method} ${path}`).toEqual([403, "forbidden"]);
    }
    expect((await site.request("GET", "/api/v1/agents", { token })).status).toBe(200);
  });
});

describe("requests that are wrong", () => {
  it("get a problem document that names the field and what would be right", async () => {
    for (const [value, expected] of [
      [-1, "disk_index: must be 0 or more."],
      [1.5, "disk_index: must be a whole number."],
      [256, "disk_index: must be 255 or less."],
      [1e30, /disk_index: must be 255 or less/],
      ["0", "disk_index: must be a number."],
      [null, "disk_index: must be a number."],
      [[0], "disk_index: must be a number."],
      [true, "disk_index: must be a number."],
    ] as const) {
      const { status, body } = await site.request("POST", "/api/v1/restore/mount", { body: { backup_id: "b", disk_index: value } });
      expect([status, body.code], JSON.stringify(value)).toEqual([400, "invalid_request"]);
      expect(body.detail).toEqual(typeof expected === "string" ? expected : expect.stringMatching(expected));
      expect(body.request_id).toMatch(/.+/);
    }
    const missing = await site.request("POST", "/api/v1/restore/mount", { body: {} });
    expect(missing.body.fields).toEqual([{ field: "backup_id", expected: "is missing" }]);
    const unknown = await site.request("POST", "/api/v1/restore/mount", { body: { backup_id: "b", diskIndex: 1 } });
    expect(unknown.body.detail).toBe('body: has no "diskIndex".');
  });

  it("are told apart: not JSON, another type, too large, no such path, not with this method", async () => {
    const notJson = await site.request("POST", "/api/v1/restore/mount", { body: '{"backup_id": ' });
    expect([notJson.status, notJson.body.code]).toEqual([400, "invalid_request"]);
    const form = await site.request("POST", "/api/v1/restore/mount", { body: "backup_id=b", headers: { "Content-Type": "application/x-www-form-urlencoded" } });
    expect([form.status, form.body.detail]).toEqual([400, expect.stringMatching(/Content-Type: application\/json/)]);
    const large = await site.request("POST", "/api/v1/restore/mount", { body: `{"backup_id":"${"x".repeat(3_000_000)}"}` });
    expect([large.status, large.body.code]).toEqual([413, "body_too_large"]);
    const nowhere = await site.request("GET", "/api/v1/nowhere");
    expect([nowhere.status, nowhere.body.code]).toEqual([404, "not_found"]);
    const method = await site.request("DELETE", "/api/v1/backups");
    expect([method.status, method.body.code, method.headers.get("Allow")]).toEqual([405, "method_not_allowed", "GET, HEAD, POST"]);
    const parameter = await site.request("PATCH", "/api/v1/backups/b1");
    expect([parameter.status, parameter.headers.get("Allow")]).toEqual([405, "DELETE, GET, HEAD"]);
  });

  it("get nothing of the inside when something unexpected fails", async () => {
    await database.query("DROP TABLE restore_events");
    const { status, body } = await site.request("GET", "/api/v1/events");
    expect([status, body.code]).toEqual([500, "internal"]);
    expect(JSON.stringify(body)).not.toMatch(/restore_events|select|test_/i);
    expect(site.log.join("")).toContain(body.request_id);
    expect(site.log.join("")).toContain("ER_NO_SUCH_TABLE");
  });
});

describe("the API's description", () => {
  it("is OpenAPI 3.1 made of the routes, with worked examples for two disks", async () => {
    const { body } = await site.request("GET", "/openapi.json");
    expect(body.openapi).toBe("3.1.0");
    const calls = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) => Object.keys(item).map((method) => `${method} ${path}`));
    for (const call of [
      "get /api/v1/repositories", "get /api/v1/agents", "post /api/v1/backups", "post /api/v1/repositories/{id}/scan", "get /api/v1/backups", "get /api/v1/backups/{backup_id}",
      "delete /api/v1/backups/{backup_id}", "get /api/v1/backups/{backup_id}/disks", "post /api/v1/restore/mount", "get /api/v1/restore/mounts", "get /api/v1/restore/{mount_id}",
      "delete /api/v1/restore/{mount_id}", "get /api/v1/restore/{mount_id}/files", "get /api/v1/restore/{mount_id}/file-info", "get /api/v1/restore/{mount_id}/download",
      "get /api/v1/restore/{mount_id}/download-directory", "post /api/v1/restore/{mount_id}/links", "get /api/v1/restore/resources", "get /api/v1/restore/cleanup-status", "get /api/v1/events",
    ]) expect(calls).toContain(call);
    const mount = body.paths["/api/v1/restore/mount"].post.requestBody.content["application/json"].examples;
    expect(mount.disk1.value).toEqual({ backup_id: "backup-pgtest1-1759947871", disk_index: 1 });
    expect(body.components.securitySchemes.bearer).toMatchObject({ type: "http", scheme: "bearer" });
    // Every reference leads somewhere.
    const names = new Set(Object.keys(body.components.schemas));
    for (const [, name] of JSON.stringify(body).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) expect(names).toContain(name);
  });

  it("goes with metrics by route pattern, for those with a token", async () => {
    await site.request("GET", "/api/v1/backups/some-id");
    const { status, body } = await site.request("GET", "/metrics");
    expect(status).toBe(200);
    expect(body).toContain('route="/api/v1/backups/:backup_id"');
    expect(body).not.toContain("some-id");
    expect(body).toMatch(/pluck_mounts\{status="mounted"\} 0/);
    expect(body).toMatch(/pluck_agent_online\{agent="a1"\} 1/);
  });
});

describe("sites", () => {
  it("are added by an admin, and the agent's password is shown once", async () => {
    expect((await site.request("POST", "/api/v1/repositories", { body: { id: "r2", name: "site two" } })).status).toBe(201);
    expect((await site.request("POST", "/api/v1/repositories", { body: { id: "r2", name: "site two" } })).status).toBe(200);
    expect((await site.request("POST", "/api/v1/repositories", { body: { id: "r2", name: "other" } })).body.code).toBe("invalid_request");
    const made = await site.request("POST", "/api/v1/agents", { body: { id: "a2", repository_id: "r2" } });
    expect(made.status).toBe(201);
    expect(await database.dump()).not.toContain(made.body.broker_password);
    expect((await site.request("POST", "/api/v1/agents", { body: { id: "a2", repository_id: "r2" } })).body.detail).toMatch(/there is an agent "a2" already/);
    expect((await site.request("POST", "/api/v1/agents", { body: { id: "a3", repository_id: "nowhere" } })).body.code).toBe("repository_not_found");
    expect((await site.request("GET", "/api/v1/repositories")).body.repositories).toEqual([
      { id: "r1", name: "site one", agent_id: "a1", online: true },
      { id: "r2", name: "site two", agent_id: "a2", online: true },
    ]);
    const { verifyAgentPassword } = await import("../../coordinator/services/sites/agents.ts");
    expect(await verifyAgentPassword(database.db, "a2", made.body.broker_password)).toBe(true);
    expect(await verifyAgentPassword(database.db, "a2", "wrong")).toBe(false);
    expect(await verifyAgentPassword(database.db, "nobody", made.body.broker_password)).toBe(false);
  });
});

describe("events", () => {
  it("come newest first, filtered and in pages, and outlive their backups", async () => {
    for (let n = 1; n <= 7; n += 1) {
      await database.query("INSERT INTO restore_events (event_id, at, type, actor, mount_id, backup_id, path, bytes, outcome) VALUES (?, ?, ?, 'ann', ?, 'b1', '/p1/ä', 9007199254740991, 'complete')", [
        `e${String(n)}`, new Date(Date.UTC(2026, 0, n)), n % 2 === 0 ? "mount" : "transfer_finished", n < 4 ? "m1" : "m2",
      ]);
    }
    const pages: number[][] = [];
    let cursor = "";
    do {
      const { body } = await site.request("GET", `/api/v1/events?limit=3${cursor}`);
      pages.push(body.events.map((event: { at: string }) => new Date(event.at).getUTCDate()));
      cursor = body.next === undefined ? "" : `&cursor=${body.next}`;
    } while (cursor !== "");
    expect(pages).toEqual([[7, 6, 5], [4, 3, 2], [1]]);
    const filtered = await site.request("GET", "/api/v1/events?type=mount&mount_id=m2&actor=ann&backup_id=b1&since=2026-01-05T00:00:00Z&until=2026-01-07T00:00:00%2B00:00");
    expect(filtered.body.events).toMatchObject([{ at: "2026-01-06T00:00:00.000Z", path: "/p1/ä", bytes: 9007199254740991, outcome: "complete" }]);
    for (const query of ["limit=0", "limit=x", "cursor=x", "since=yesterday", "limit=1001"]) {
      expect((await site.request("GET", `/api/v1/events?${query}`)).body.code, query).toBe("invalid_request");
    }
  });
});

describe("signing keys", () => {
  it("are made once, however many coordinators need one, and agents get only public halves", async () => {
    const { createLinks, rotateSigningKey } = await import("../../coordinator/services/links/signing-keys.ts");
    const clock = { now: () => new Date() };
    const many = Array.from({ length: 8 }, () => createLinks(database.db, clock));
    const kids = new Set((await Promise.all(many.map(async (links) => await links.signer()))).map(({ keyId }) => keyId));
    expect(kids.size).toBe(1);
    const jwks = await many[0]!.jwks();
    expect(jwks.keys.map((key) => Object.keys(key).sort())).toEqual([["alg", "crv", "kid", "kty", "use", "x"]]);

    await rotateSigningKey(database.db, clock);
    const after = createLinks(database.db, clock);
    expect(kids).not.toContain((await after.signer()).keyId);
    expect((await after.jwks()).keys).toHaveLength(2);
    const later = createLinks(database.db, { now: () => new Date(Date.now() + 8 * 24 * 3600 * 1000) });
    expect((await later.jwks()).keys).toHaveLength(1);
  });
});
