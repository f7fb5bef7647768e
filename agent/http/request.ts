import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { Logger } from "pino";
import { PluckError } from "../../shared/errors.ts";
import { parseGuestPath, pathFromQuery } from "../../shared/guest-path.ts";
import { agentRoutes, archiveFormats, verifyLink, type AgentRoute, type ArchiveFormat, type VerifiedLink } from "../../shared/link.ts";
import type { AgentEvent } from "../../shared/messages.ts";
import type { OpenMount, OpenMounts } from "../mounts/open-mount.ts";
import type { PathRequest } from "../reader/disk-reader.ts";
import type { AgentMetrics } from "./metrics.ts";

/** What the routes are given. */
export interface AgentServices {
  readonly agentId: string;
  readonly mounts: OpenMounts;
  readonly logger: Logger;
  readonly report: (event: AgentEvent) => void;
  readonly metrics: AgentMetrics;
}

export interface AgentEnv {
  Bindings: Partial<HttpBindings>;
  Variables: { requestId: string };
}

/** A request whose link was verified. */
export interface GrantedRequest {
  /** What to ask the reader for: plain data, since the reader lives in another thread. */
  readonly at: PathRequest;
  readonly mount: OpenMount;
  readonly link: VerifiedLink;
  /** As asked for. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/**
 * The gate of every route below a mount: finds the mount, reads the path from the raw query, verifies
 * the link against both, and slides the lease.
 * @throws PluckError mount_not_found, invalid_request, unauthenticated, link_invalid, link_expired
 */
export async function grant(context: Context<AgentEnv>, services: AgentServices, route: AgentRoute): Promise<GrantedRequest> {
  const mount = findMount(context, services);
  const rawQuery = toRawQuery(context);
  const query = new URLSearchParams(rawQuery);
  const path = pathFromQuery(rawQuery) ?? "/";
  const segments = parseGuestPath(path);
  if (segments === undefined) throw new PluckError("invalid_request", 'The path is too long or holds ".", ".." or a NUL byte.');
  const token = tokenOf(context, query);
  if (token === undefined) throw new PluckError("unauthenticated", "The link's token is missing: give it as token= or as a bearer token.");
  const operation = agentRoutes[route];
  const format = operation === "archive" ? formatOf(query) : undefined;
  const raw = operation === "download" && booleanOf(query, "raw");
  const link = await verifyLink(token, mount.jwks, {
    agentId: services.agentId,
    mountId: mount.mountId,
    operation,
    path,
    ...(format === undefined ? {} : { format }),
    raw,
  });
  mount.touch();
  return { mount, link, path, query, at: { segments, withinDepth: parseGuestPath(link.path)?.length ?? 0, ...(raw ? { raw } : {}) } };
}

export function findMount(context: Context<AgentEnv>, { mounts }: AgentServices): OpenMount {
  const mount = mounts.get(context.req.param("mount_id") ?? "");
  if (mount === undefined) throw new PluckError("mount_not_found", "No such mount on this agent: it was ended, or never was here.");
  return mount;
}

/**
 * The query as it came over the wire. Below Hono, because a URL object would take raw bytes of a
 * request line for characters and encode them anew.
 */
export function toRawQuery(context: Context<AgentEnv>): string {
  const url = context.env?.incoming?.url ?? context.req.url;
  const mark = url.indexOf("?");
  return mark < 0 ? "" : url.slice(mark + 1).replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}

export function tokenOf(context: Context<AgentEnv>, query: URLSearchParams): string | undefined {
  const inQuery = query.get("token");
  if (inQuery !== null && inQuery !== "") return inQuery;
  return /^Bearer +(\S+) *$/i.exec(context.req.header("authorization") ?? "")?.[1];
}

function formatOf(query: URLSearchParams): ArchiveFormat | undefined {
  const text = query.get("format");
  if (text === null) return undefined;
  const format = archiveFormats.find((known) => known === text);
  if (format === undefined) throw new PluckError("invalid_request", `format must be one of ${archiveFormats.join(", ")}.`);
  return format;
}

/** What an entry that can't be read does to an archive. */
export function onErrorOf(query: URLSearchParams): "fail" | "report" {
  const text = query.get("on_error") ?? "fail";
  if (text !== "fail" && text !== "report") throw new PluckError("invalid_request", "on_error must be fail or report.");
  return text;
}

export function integerOf(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > max) throw new PluckError("invalid_request", `${name} must be a whole number from 1 to ${max}.`);
  return value;
}

export function booleanOf(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new PluckError("invalid_request", `${name} must be true or false.`);
}
