import { ErrorNote } from "../parts/error-note.tsx";
import { formatTime } from "../parts/format.ts";
import { ScanButton } from "../parts/scan-button.tsx";
import { lastSeen } from "../parts/site-state.tsx";
import { useTitle } from "../parts/title.ts";
import { useSites } from "../state/sites.ts";
import type { Site } from "../state/to-sites.ts";
import { catalog } from "../text/catalog.ts";
import { common } from "../text/common.ts";
import "../style/catalog.css";

const text = catalog.sites;

/** The repositories, and how their agents are. */
export function SitesView() {
  useTitle(text.title);
  const { state, reload } = useSites();
  const { value: sites, error } = state.value;
  return (
    <>
      <h1 data-first-focus tabIndex={-1}>{text.title}</h1>
      {error === undefined ? null : <ErrorNote error={error} onRetry={reload} />}
      {sites === undefined ? (error === undefined ? <p class="quiet">{common.loading}</p> : null) : sites.length === 0 ? <p>{text.none}</p> : (
        <ul class="sites">{sites.map((site) => <SiteCard key={site.id} site={site} onScanned={reload} />)}</ul>
      )}
    </>
  );
}

function SiteCard({ site, onScanned }: { site: Site; onScanned: () => void }) {
  return (
    <li class="card site">
      <div class="card-head">
        <h2>{site.name}</h2>
        <code class="quiet">{site.id}</code>
        <span class={`tag ${site.online ? "tag-good" : "tag-bad"}`}>{site.online ? catalog.site.online : catalog.site.offline}</span>
        {site.online ? null : <span class="quiet">{lastSeen(site)}</span>}
      </div>
      {site.agents.length === 0 ? <p>{text.noAgent}</p> : (
        <ul class="agents" aria-label={text.agents}>
          {site.agents.map(({ id, online, last_seen_at, slots_used, slots_total, version, public_url }) => (
            <li key={id}>
              <dl class="facts">
                <div><dt>{text.agent}</dt><dd>{id}</dd></div>
                <div><dt>{text.health}</dt><dd><span class={`tag ${online ? "tag-good" : "tag-bad"}`}>{online ? catalog.site.online : catalog.site.offline}</span></dd></div>
                <div><dt>{text.lastSeen}</dt><dd>{last_seen_at === null ? catalog.site.neverSeen : formatTime(last_seen_at)}</dd></div>
                <div><dt>{text.slots}</dt><dd>{text.slotsUsed(slots_used, slots_total)}</dd></div>
                <div><dt>{text.version}</dt><dd>{version ?? common.unknown}</dd></div>
                <div class="fact-wide"><dt>{text.address}</dt><dd class="mono">{public_url ?? common.unknown}</dd></div>
              </dl>
            </li>
          ))}
        </ul>
      )}
      <ScanButton id={site.id} name={site.name} onScanned={onScanned} />
    </li>
  );
}
