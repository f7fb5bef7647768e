import { Hono } from "hono";
import { html } from "hono/html";
import type { AppEnv } from "../routes/router.ts";
import type { StaticFile } from "./static-files.ts";

/**
 * The page asks agents of any site, whose origins are not known here, and posts a selection to them
 * (form-action, frame-src: the answer is a download). Previews are blobs of its own making.
 */
export const contentSecurityPolicy = {
  defaultSrc: ["'self'"],
  connectSrc: ["'self'", "http:", "https:"],
  imgSrc: ["'self'", "blob:"],
  frameSrc: ["blob:", "http:", "https:"],
  formAction: ["'self'", "http:", "https:"],
  objectSrc: ["'none'"],
  baseUri: ["'none'"],
  frameAncestors: ["'none'"],
  // Not even by mistake: the browser itself refuses text where markup or code is meant.
  requireTrustedTypesFor: ["'script'"],
  trustedTypes: ["'none'"],
};

/**
 * The page itself holds no data and needs no token; what it asks for does.
 * @param files the built page, by path; none of them where it has not been built
 * @param origin where the page is at home: agents answer pages of that origin only (CORS)
 */
export function createWebRoutes(files: ReadonlyMap<string, StaticFile>, origin: string | null): Hono<AppEnv> {
  const routes = new Hono<AppEnv>();
  if (!files.has("/")) routes.get("/", (c) => c.html(notBuilt, 503));
  for (const [path, file] of files) routes.get(path, (c) => send(file, c.req.raw));
  routes.get("/page.json", (c) => c.json({ origin }, 200, { "Cache-Control": "no-cache" }));
  return routes;
}

function send(file: StaticFile, request: Request): Response {
  const headers: Record<string, string> = {
    "Cache-Control": file.immutable ? "public, max-age=31536000, immutable" : "no-cache",
    ETag: file.etag,
    Vary: "Accept-Encoding",
  };
  if (request.headers.get("If-None-Match") === file.etag) return new Response(null, { status: 304, headers });
  headers["Content-Type"] = file.contentType;
  if (!/\bgzip\b/.test(request.headers.get("Accept-Encoding") ?? "")) return new Response(file.bytes, { headers });
  return new Response(file.gzipped, { headers: { ...headers, "Content-Encoding": "gzip" } });
}

const notBuilt = html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Pluck</title>
  </head>
  <body>
    <h1>Pluck</h1>
    <p>The page has not been built here: <code>npm run build</code> builds it, then start the coordinator again.
      The REST API under <code>/api/v1</code> works without it.</p>
  </body>
</html>`;
