import type { Context } from "hono";
import { selectionPath } from "../../shared/link.ts";
import type { AgentEnv, AgentServices } from "./request.ts";

const exposed = "Content-Disposition, Content-Length, Content-Range, Accept-Ranges, ETag, Last-Modified, Retry-After, X-Request-Id";
const allowedRequestHeaders = "Authorization, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since";
const preflightLifeS = 600;

/**
 * The origins whose pages may read an answer: that of the mount which the path names; of a selection,
 * whose mounts only its body names, those of all mounts. That a mount has ended may be read by the page
 * that the last one was opened for.
 */
export function allowedOrigins(context: Context<AgentEnv>, { mounts }: Pick<AgentServices, "mounts">): string[] {
  const named = /^\/v1\/mounts\/([^/]+)\//.exec(context.req.path)?.[1];
  const asked = named !== undefined ? [mounts.get(named)] : context.req.path === selectionPath ? [...mounts.list(), undefined] : [];
  const origins = asked.map((mount) => (mount === undefined ? mounts.lastWebOrigin : mount.webOrigin));
  return [...new Set(origins.filter((origin) => origin !== null))];
}

/** Lets pages of these origins read the answer, and no others. */
export function corsHeaders(context: Context<AgentEnv>, origins: readonly string[]): Record<string, string> {
  const origin = context.req.header("origin");
  if (origins.length === 0) return {};
  if (origin === undefined || !origins.includes(origin)) return { Vary: "Origin" };
  return { Vary: "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": exposed };
}

/** OPTIONS: the browser asks before it sends a Range or a bearer token. */
export function answerPreflight(context: Context<AgentEnv>, origins: readonly string[], methods: string): Response {
  const headers = corsHeaders(context, origins);
  if (headers["Access-Control-Allow-Origin"] === undefined) return new Response(null, { status: 204, headers });
  return new Response(null, {
    status: 204,
    headers: {
      ...headers,
      "Access-Control-Allow-Methods": methods,
      "Access-Control-Allow-Headers": allowedRequestHeaders,
      "Access-Control-Max-Age": String(preflightLifeS),
    },
  });
}
