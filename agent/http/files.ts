import type { Context } from "hono";
import { defaultListingLimit, maxListingLimit, type Listing } from "../../shared/api.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { toEntries } from "./entry.ts";
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
  const page = await ofUnchanged(mount, () => mount.reader.list(request));
  const listing: Listing = {
    mount_id: mount.mountId,
    path: formatGuestPath(page.path),
    entries: toEntries(page.nodes),
    ...(page.next === undefined ? {} : { next: page.next }),
  };
  return context.json(listing, 200, { "Cache-Control": "no-store" });
}
