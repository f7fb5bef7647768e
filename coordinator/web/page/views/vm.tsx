import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listBackups } from "../api/catalog.ts";
import type { Backup } from "../api/types.ts";
import { formatDay } from "../parts/dates.ts";
import { ErrorNote } from "../parts/error-note.tsx";
import { useRowKeys } from "../parts/row-keys.ts";
import { OfflineNotes } from "../parts/site-state.tsx";
import { useTitle } from "../parts/title.ts";
import { usePages } from "../state/pages.ts";
import { hrefOf, navigate } from "../state/route.ts";
import { useSites } from "../state/sites.ts";
import { catalog } from "../text/catalog.ts";
import { common } from "../text/common.ts";
import { PointItem } from "./vm/point-item.tsx";
import { groupByDay, newestOpenable, toRestorePoints } from "./vm/restore-point.ts";
import "../style/catalog.css";

const text = catalog.vm;

/** A machine's restore points, newest first by day; the picked one shows its disks. */
export function VmView({ vmName, backupId }: { vmName: string; backupId: string | undefined }) {
  useTitle(text.title(vmName));
  const timeline = useRef<HTMLElement>(null);
  useRowKeys(timeline);
  const closed = useSignal<string | undefined>(undefined);
  const sites = useSites();
  const { state, more, reload } = usePages<Backup>(async (cursor, signal) => {
    const { backups, next } = await listBackups(vmName, cursor, signal);
    return { items: backups, next };
  }, [vmName]);
  const { items, next, loading, error } = state.value;
  const points = toRestorePoints(items ?? []);
  const picked = points.find(({ backup }) => backup.backup_id === backupId) ?? (backupId === undefined ? newestOpenable(points) : undefined);

  // The address may name one far back.
  useEffect(() => {
    if (backupId !== undefined && picked === undefined && next !== undefined && !loading && error === undefined) more();
  }, [backupId, picked === undefined, next, loading]);

  function pick(id: string): void {
    closed.value = picked?.backup.backup_id === id && closed.value !== id ? id : undefined;
    navigate({ view: "vm", vmName, backupId: id }, { replace: true });
  }

  const repositories = new Set((items ?? []).map(({ repository_id }) => repository_id));
  const ownSites = (sites.state.value.value ?? []).filter(({ id }) => repositories.has(id));
  return (
    <>
      <p class="crumb"><a href={hrefOf({ view: "vms" })}>{text.back}</a></p>
      <h1>{vmName}</h1>
      <OfflineNotes sites={ownSites} />
      {error === undefined ? null : <ErrorNote error={error} onRetry={reload} />}
      {items === undefined ? (error === undefined ? <p class="quiet">{common.loading}</p> : null) : items.length === 0 ? <p>{text.none(vmName)}</p> : (
        <section ref={timeline} aria-label={text.timeline}>
          {groupByDay(points).map(({ day, points: ofDay }) => (
            <section key={day} class="day" aria-label={formatDay(day)}>
              <h2>{formatDay(day)}</h2>
              <ol class="timeline">
                {ofDay.map((point) => {
                  const id = point.backup.backup_id;
                  const site = sites.state.value.value?.find((candidate) => candidate.id === point.backup.repository_id);
                  return <PointItem key={id} point={point} site={site} isOpen={picked?.backup.backup_id === id && closed.value !== id} onPick={() => pick(id)} />;
                })}
              </ol>
            </section>
          ))}
          {next === undefined ? null : <p><button type="button" disabled={loading} onClick={more}>{text.olderPoints}</button></p>}
        </section>
      )}
    </>
  );
}
