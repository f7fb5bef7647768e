import { createRoute, z } from "@hono/zod-openapi";
import { describe, expect, it } from "vitest";
import { PluckError } from "../../shared/errors.ts";
import { problemResponse } from "./problem-response.ts";
import { body, createRouter, json, problems } from "./router.ts";

const input = z.strictObject({
  count: z.number().int().min(0).max(5).default(0),
  name: z.string().min(1).max(3).optional(),
  kind: z.enum(["a", "b"]).optional(),
  at: z.iso.datetime({ offset: true }).optional(),
  list: z.array(z.object({ n: z.number() })).max(2).optional(),
});
const route = createRoute({ method: "post", path: "/x", request: { body: body(input) }, responses: { 200: json(input, "as it came"), ...problems() } });

function app(fails?: unknown) {
  const router = createRouter();
  router.openapi(route, (c) => {
    if (fails !== undefined) throw fails;
    return c.json(c.req.valid("json"), 200);
  });
  router.onError((error, c) => problemResponse(c, error, "request-1"));
  return router;
}

async function post(value: unknown, fails?: unknown) {
  const response = await app(fails).request("/x", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
  return { status: response.status, headers: response.headers, body: (await response.json()) as { code?: string; detail?: string; count?: number } };
}

describe("a request that is wrong", () => {
  it.each([
    [{ count: -1 }, "count: must be 0 or more."],
    [{ count: 6 }, "count: must be 5 or less."],
    [{ count: 0.5 }, "count: must be a whole number."],
    [{ count: "1" }, "count: must be a number."],
    [{ name: "" }, "name: must not be empty."],
    [{ name: "abcd" }, "name: must have at most 3 characters."],
    [{ kind: "c" }, "kind: must be one of a, b."],
    [{ at: "yesterday" }, "at: must be a time as in RFC 3339, such as 2025-10-08T19:24:31Z."],
    [{ list: [{ n: 1 }, {}] }, "list.1.n: is missing."],
    [{ list: {} }, "list: must be a list."],
    [{ list: [{ n: 1 }, { n: 1 }, { n: 1 }] }, "list: must have at most 2 items."],
    [{ unknown: 1, other: 2 }, 'body: has no "unknown", "other".'],
    [[], "body: must be an object."],
    [{ count: "x", name: 1 }, "count: must be a number; name: must be a string."],
  ])("%j: %s", async (value, detail) => {
    const { status, body: problem, headers } = await post(value);
    expect([status, problem.code, problem.detail]).toEqual([400, "invalid_request", detail]);
    expect(headers.get("Content-Type")).toBe("application/problem+json");
  });

  it("is told in so many lines and no more", async () => {
    const { body: problem } = await post({ list: Array.from({ length: 5000 }, () => ({})) });
    expect(problem.detail?.length).toBeLessThan(1000);
  });

  it("is not one that leaves out what has a default", async () => {
    expect((await post({})).body).toEqual({ count: 0 });
  });
});

describe("what a handler throws", () => {
  it("becomes a problem, with Retry-After where a retry makes sense", async () => {
    const { status, body: problem, headers } = await post({}, new PluckError("nbd_devices_exhausted", "All are taken.", { retryAfterS: 2.5 }));
    expect([status, problem.code, headers.get("Retry-After")]).toEqual([503, "nbd_devices_exhausted", "3"]);
  });

  it("shows nothing of the inside", async () => {
    const { status, body: problem } = await post({}, new Error("password is secret"));
    expect([status, problem.code]).toEqual([500, "internal"]);
    expect(JSON.stringify(problem)).not.toContain("secret");
  });

  it("is told as such when the database is away", async () => {
    const { status, body: problem } = await post({}, new Error("Failed query", { cause: Object.assign(new Error("x"), { code: "ECONNREFUSED" }) }));
    expect([status, problem.code]).toEqual([503, "database_unavailable"]);
  });
});
