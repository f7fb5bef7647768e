import type { Context } from "hono";
import { defaultListingLimit, maxListingLimit, type Listing } from "../../shared/api.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { booleanOf, grant, integerOf, type AgentEnv, type AgentServices } from "./request.ts";
import { ofUnchanged } from "./unchanged.ts";

/** GET …/files: one page of a folder. */
export async function getFiles(context: Context<AgentEnv>, services: AgentServices): Promise<Response> {
  const { mount, at, query } = await grant(context, services, "files");
  const cursor = query.get("cursor");
  const request = {
    ...at,
    recursive: booleanOf(query, "recursive"),
    limit: integerOf(query, "limit", defaultListingLimit, maxListingLimit),
    ...(cursor === null ? {} : { cursor }),
  };
  const page = await ofUnchanged(mount, () => mount.reader.listJson(request));
  const head = JSON.stringify({ mount_id: mount.mountId, path: formatGuestPath(page.path) } satisfies Omit<Listing, "entries">);
  const next = page.next === undefined ? "" : `,"next":${JSON.stringify(page.next)}`;
  // The entries are JSON already: written where they were read.
  const body = Buffer.concat([Buffer.from(`${head.slice(0, -1)},"entries":`), page.entries, Buffer.from(`${next}}`)]);
  return context.body(body, 200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
}
