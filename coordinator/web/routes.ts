import { Hono } from "hono";
import { html } from "hono/html";
import type { AppEnv } from "../routes/router.ts";

/** The page may ask agents of any site, whose origins are not known here; everything else is its own. */
export const contentSecurityPolicy = {
  defaultSrc: ["'self'"],
  connectSrc: ["'self'", "http:", "https:"],
  objectSrc: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'self'"],
  frameAncestors: ["'none'"],
};

/** The page itself holds no data and needs no token; what it asks for does. */
export const webRoutes = new Hono<AppEnv>().get("/", (c) => c.html(html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Pluck</title>
  </head>
  <body>
    <h1>Pluck</h1>
    <p>This server takes single files out of VM backups, over a REST API under <code>/api/v1</code>.</p>
    <p>The API is described in <a href="/openapi.json">/openapi.json</a>, which, like the API, wants an API token
      in the header <code>Authorization: Bearer …</code>.</p>
  </body>
</html>`));
