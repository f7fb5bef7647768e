import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { secureHeaders } from "hono/secure-headers";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { contentSecurityPolicy, createWebRoutes } from "./routes.ts";
import { readStaticFiles } from "./static-files.ts";

// Property: the page comes whole, is asked for again only when it has changed, and always with its policy.

const script = `console.log(${JSON.stringify("x".repeat(1000))});\n`;
let folder: string;
let app: Hono;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-routes-"));
  await mkdir(join(folder, "assets"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>Pluck</title>");
  await writeFile(join(folder, "assets/index-5f1c.js"), script);
  await writeFile(join(folder, "inputs.sha256"), "not for the world");
  app = new Hono().use(secureHeaders({ contentSecurityPolicy })).route("/", createWebRoutes(await readStaticFiles(folder), "http://pluck.example"));
});

afterAll(async () => await rm(folder, { recursive: true, force: true }));

describe("the page's files", () => {
  it("are at their paths, and nothing else is", async () => {
    const page = await app.request("/");
    expect([page.status, page.headers.get("Content-Type"), await page.text()]).toEqual([200, "text/html; charset=utf-8", "<!doctype html><title>Pluck</title>"]);
    for (const path of ["/index.html", "/inputs.sha256", "/assets", "/assets/", "/assets/..%2finputs.sha256", "/assets/other.js"]) expect([path, (await app.request(path)).status]).toEqual([path, 404]);
  });

  it("are kept for good when their name says what is in them; the page itself is asked after each time", async () => {
    expect((await app.request("/assets/index-5f1c.js")).headers.get("Cache-Control")).toBe("public, max-age=31536000, immutable");
    const page = await app.request("/");
    expect(page.headers.get("Cache-Control")).toBe("no-cache");
    const again = await app.request("/", { headers: { "If-None-Match": page.headers.get("ETag") ?? "" } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
  });

  it("say where the page is at home", async () => {
    expect(await (await app.request("/page.json")).json()).toEqual({ origin: "http://pluck.example" });
  });

  it("come gzipped to whoever takes that, and as they are to others", async () => {
    const packed = await app.request("/assets/index-5f1c.js", { headers: { "Accept-Encoding": "br, gzip" } });
    expect([packed.headers.get("Content-Encoding"), packed.headers.get("Vary")]).toEqual(["gzip", "Accept-Encoding"]);
    expect(gunzipSync(await packed.arrayBuffer()).toString()).toBe(script);
    const plain = await app.request("/assets/index-5f1c.js");
    expect([plain.headers.get("Content-Encoding"), await plain.text()]).toEqual([null, script]);
  });
});

it("the policy allows no inline code, no eval, no foreign script or style, no frame around the page, and no text as markup", async () => {
  const policy = (await app.request("/")).headers.get("Content-Security-Policy") ?? "";
  const directives = new Map(policy.split("; ").map((directive) => [directive.split(" ")[0] ?? "", directive.split(" ").slice(1)]));
  expect(policy).not.toMatch(/unsafe-|\*|data:/);
  expect(directives.get("default-src")).toEqual(["'self'"]);
  expect([directives.get("script-src"), directives.get("style-src")]).toEqual([undefined, undefined]);
  expect(directives.get("frame-ancestors")).toEqual(["'none'"]);
  expect(directives.get("object-src")).toEqual(["'none'"]);
  expect(directives.get("base-uri")).toEqual(["'none'"]);
  expect(directives.get("require-trusted-types-for")).toEqual(["'script'"]);
  expect(directives.get("trusted-types")).toEqual(["'none'"]);
});

it("where the page has not been built, / says so and how to", async () => {
  const bare = createWebRoutes(await readStaticFiles(join(folder, "there-is-none")), null);
  const answer = await bare.request("/");
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("npm run build")]);
});
