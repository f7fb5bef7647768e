import { ScanButton } from "../../parts/scan-button.tsx";
import { SiteTag } from "../../parts/site-state.tsx";
import type { Site } from "../../state/to-sites.ts";
import { catalog } from "../../text/catalog.ts";

/** Nothing is registered: what to do about it. @param sites undefined while they are being fetched */
export function EmptyCatalog({ sites, onScanned }: { sites: readonly Site[] | undefined; onScanned: () => void }) {
  if (sites === undefined) return null;
  return (
    <section class="card empty">
      <h2>{catalog.empty.title}</h2>
      <p>{sites.length === 0 ? catalog.empty.noRepository : catalog.empty.scanFirst}</p>
      {sites.map((site) => (
        <div key={site.id} class="empty-site">
          <SiteTag name={site.name} online={site.online} />
          <ScanButton id={site.id} name={site.name} onScanned={onScanned} />
        </div>
      ))}
    </section>
  );
}
