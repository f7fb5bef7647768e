import { formatClock } from "../../parts/dates.ts";
import { formatSize, formatTime } from "../../parts/format.ts";
import { SiteTag } from "../../parts/site-state.tsx";
import type { Site } from "../../state/to-sites.ts";
import { catalog } from "../../text/catalog.ts";
import { DiskCard } from "./disk-card.tsx";
import type { RestorePoint } from "./restore-point.ts";

const text = catalog.vm;

/** One restore point on the time line: what it is in one line, and below it, when picked, its disks. */
export function PointItem({ point, site, isOpen, onPick }: { point: RestorePoint; site: Site | undefined; isOpen: boolean; onPick: () => void }) {
  const { backup, isFull, state, takenAt } = point;
  const panelId = `disks-${backup.backup_id}`;
  return (
    <li class={`point point-${isFull ? "full" : "incremental"} point-${state}`}>
      <button type="button" class="point-head" data-row aria-expanded={isOpen} aria-controls={isOpen ? panelId : undefined} title={backup.backup_id} onClick={onPick}>
        <time dateTime={takenAt ?? undefined} class="point-time">{formatClock(takenAt)}</time>
        <span class="point-kind">{isFull ? text.full : text.incremental}</span>
        {state === "complete" ? null : <span class={`tag ${state === "failed" ? "tag-bad" : "tag-warn"}`}>{text.state[state]}</span>}
        <span class="point-size quiet">{sizeOf(point)}</span>
        {site === undefined ? <span class="tag">{backup.repository_id}</span> : <SiteTag name={site.name} online={site.online} />}
      </button>
      {isOpen ? (
        <div class="point-body" id={panelId}>
          {state === "complete" ? null : <p class="note note-warn">{whyOf(point)}</p>}
          <ul class="cards" aria-label={catalog.disk.list}>
            {backup.disks.map((disk) => <DiskCard key={disk.disk_index} backupId={backup.backup_id} disk={disk} when={formatTime(takenAt)} />)}
          </ul>
        </div>
      ) : null}
    </li>
  );
}

/** A full one holds all of the machine, an incremental what changed since the point before: its size is the change. */
function sizeOf({ isFull, size, state }: RestorePoint): string {
  if (size === undefined) return state === "complete" ? text.sizeUnknown : "";
  if (!isFull) return text.changed(formatSize(size.storedBytes));
  const more = size.moreThanFullBytes;
  const stored = text.stored(formatSize(size.storedBytes));
  if (more === undefined) return stored;
  return `${stored}, ${more === 0 ? text.sameAsFull : text.againstFull(formatSize(Math.abs(more)), more > 0 ? text.more : text.less)}`;
}

function whyOf({ state, backup }: RestorePoint): string {
  if (state === "failed" && backup.disks.length === 0) return text.why.noDisks;
  if (state === "failed" && backup.status !== "failed" && backup.status !== "completed") return text.why.status(backup.status);
  return state === "complete" ? "" : text.why[state];
}
