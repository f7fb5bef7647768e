import type { Site } from "../state/to-sites.ts";
import { catalog } from "../text/catalog.ts";
import { formatTime } from "./format.ts";

/** A site's name, and that it is offline when it is. */
export function SiteTag({ name, online }: { name: string; online: boolean }) {
  return online ? <span class="tag">{name}</span> : <span class="tag tag-bad">{name}: {catalog.site.offline}</span>;
}

export function lastSeen(site: Pick<Site, "lastSeenAt" | "agents">): string {
  if (site.agents.length === 0) return catalog.site.noAgent;
  return site.lastSeenAt === null ? catalog.site.neverSeen : catalog.site.lastSeen(formatTime(site.lastSeenAt));
}

/** One note a site that is away: what is listed of it stands, and can't be opened for now. */
export function OfflineNotes({ sites }: { sites: readonly Site[] }) {
  return <>{sites.filter(({ online }) => !online).map((site) => <p key={site.id} class="note note-warn" role="status">{catalog.site.offlineNote(site.name, lastSeen(site))}</p>)}</>;
}
