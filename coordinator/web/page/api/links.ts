import { call, fetchLink } from "./client.ts";
import { ApiError, unreachable } from "./problem.ts";
import type { CreatedLink, CreateLink, FileInfo, Listing } from "./types.ts";

/** Asked for anew when less than this is left of its life. */
const leastLifeLeftMs = 60_000;
const browseLinks = new Map<string, Promise<CreatedLink>>();

/** A signed link, for this one use or to hand on. */
export function createLink(mountId: string, body: CreateLink, signal?: AbortSignal): Promise<CreatedLink> {
  return call<CreatedLink>(`/restore/${encodeURIComponent(mountId)}/links`, { method: "POST", body, ...(signal === undefined ? {} : { signal }) });
}

/** One browse link serves every folder of a mount: folders come straight from the agent. */
async function browseLink(mountId: string): Promise<URL> {
  const known = browseLinks.get(mountId);
  const link = known === undefined ? undefined : await known.catch(() => undefined);
  if (link !== undefined && Date.parse(link.expires_at) - Date.now() > leastLifeLeftMs) return new URL(link.url);
  // Of several that find it stale at once, the first asks and the others wait for its answer.
  if (browseLinks.get(mountId) === known) browseLinks.set(mountId, createLink(mountId, { operation: "browse", path: "/" }));
  const fresh = await (browseLinks.get(mountId) as Promise<CreatedLink>);
  return new URL(fresh.url);
}

/** A page of a folder's listing. @param path as in an entry's `path` @param cursor `next` of the page before */
export async function listFolder(mountId: string, path: string, options: { cursor?: string; limit?: number; signal?: AbortSignal } = {}): Promise<Listing> {
  return (await askAgent(mountId, "files", path, { cursor: options.cursor, limit: options.limit?.toString() }, options.signal)) as Listing;
}

/** Everything of one entry. @param hash also reads the whole file for it */
export async function readFileInfo(mountId: string, path: string, options: { hash?: "sha256"; signal?: AbortSignal } = {}): Promise<FileInfo> {
  return (await askAgent(mountId, "file-info", path, { hash: options.hash }, options.signal)) as FileInfo;
}

async function askAgent(mountId: string, what: "files" | "file-info", path: string, query: Record<string, string | undefined>, signal?: AbortSignal): Promise<unknown> {
  for (let attempt = 0; ; attempt += 1) {
    const url = await browseLink(mountId);
    url.pathname = url.pathname.replace(/[^/]*$/, what);
    url.searchParams.set("path", path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    try {
      return await (await fetchLink(url.href, signal === undefined ? {} : { signal })).json();
    } catch (error) {
      // The clock of this machine may be off; the mount was opened anew since, or the agent moved (one
      // that no longer knows a mount may not answer a page at all): once more with a fresh link.
      const isStale = error instanceof ApiError && (error.code === "link_expired" || error.code === "link_invalid" || error.code === unreachable);
      if (!isStale || attempt > 0) throw error;
      browseLinks.delete(mountId);
    }
  }
}
