import type { Context } from "hono";
import type { OpenMount } from "../mounts/open-mount.ts";
import { findMount, type AgentEnv, type AgentServices } from "./request.ts";

const exposed = "Content-Disposition, Content-Length, Content-Range, Accept-Ranges, ETag, Last-Modified, Retry-After, X-Request-Id";
const allowedRequestHeaders = "Authorization, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since";
const preflightLifeS = 600;

/** Lets pages of the mount's own web origin read the answer, and no others. */
export function corsHeaders(context: Context<AgentEnv>, mount: OpenMount | undefined): Record<string, string> {
  const origin = context.req.header("origin");
  const allowed = mount?.webOrigin ?? undefined;
  if (allowed === undefined) return {};
  if (origin !== allowed) return { Vary: "Origin" };
  return { Vary: "Origin", "Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": exposed };
}

/** OPTIONS: the browser asks before it sends a Range or a bearer token. */
export function answerPreflight(context: Context<AgentEnv>, services: AgentServices): Response {
  const headers = corsHeaders(context, findMount(context, services));
  if (headers["Access-Control-Allow-Origin"] === undefined) return new Response(null, { status: 204, headers });
  return new Response(null, {
    status: 204,
    headers: {
      ...headers,
      "Access-Control-Allow-Methods": "GET, HEAD",
      "Access-Control-Allow-Headers": allowedRequestHeaders,
      "Access-Control-Max-Age": String(preflightLifeS),
    },
  });
}
