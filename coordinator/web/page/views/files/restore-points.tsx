import { signal } from "@preact/signals";
import { listBackups } from "../../api/catalog.ts";
import type { Backup } from "../../api/types.ts";
import { formatTime } from "../../parts/format.ts";
import { useLoad } from "../../state/load.ts";
import { navigate } from "../../state/route.ts";
import { files } from "../../text/files.ts";

/** Pages of restore points that are looked through: some years of daily ones. */
const maxPages = 40;

/** Whether folders are compared with the restore point before; stays as one goes about. */
export const isComparing = signal(false);

export function timeOf(backup: Backup): string {
  return formatTime(backup.completed_at ?? backup.created_at);
}

/** Restore points of a machine that have this disk, newest first. */
export function useRestorePoints(vmName: string | undefined, diskIndex: number): readonly Backup[] {
  const { state } = useLoad(async (signal) => (vmName === undefined ? [] : await allBackups(vmName, signal)), [vmName]);
  return (state.value.value ?? []).filter(({ disks }) => disks.some((disk) => disk.disk_index === diskIndex));
}

async function allBackups(vmName: string, signal: AbortSignal): Promise<Backup[]> {
  const found: Backup[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < maxPages; page += 1) {
    const { backups, next } = await listBackups(vmName, cursor, signal);
    found.push(...backups);
    if (next === undefined) break;
    cursor = next;
  }
  return found;
}

export function isOpenable(backup: Backup, diskIndex: number): boolean {
  return backup.disks.some((disk) => disk.disk_index === diskIndex && disk.mountable);
}

/** The newest openable one that is older. */
export function pointBefore(points: readonly Backup[], backupId: string, diskIndex: number): Backup | undefined {
  const at = points.findIndex(({ backup_id: id }) => id === backupId);
  return at < 0 ? undefined : points.slice(at + 1).find((point) => isOpenable(point, diskIndex));
}

interface Props {
  readonly points: readonly Backup[];
  readonly backup: Backup;
  readonly diskIndex: number;
  readonly path: string;
}

/** Goes through time and stays in the folder. */
export function RestorePoints({ points, backup, diskIndex, path }: Props) {
  const at = points.findIndex(({ backup_id: id }) => id === backup.backup_id);
  const newer = at < 0 ? undefined : points.slice(0, at).findLast((point) => isOpenable(point, diskIndex));
  const older = pointBefore(points, backup.backup_id, diskIndex);
  const go = (to: Backup | undefined): void => {
    if (to !== undefined) navigate({ view: "files", backupId: to.backup_id, diskIndex, path });
  };
  const shown = at < 0 ? [backup] : points;
  return (
    <div class="points">
      <button type="button" aria-label={files.olderPoint} title={files.olderPoint} disabled={older === undefined} onClick={() => go(older)}>◀</button>
      <select aria-label={files.point} value={backup.backup_id} onChange={(event) => { const { value } = event.currentTarget; go(points.find(({ backup_id: id }) => id === value)); }}>
        {shown.map((point) => (
          <option key={point.backup_id} value={point.backup_id} disabled={!isOpenable(point, diskIndex)}>
            {files.pointOption(timeOf(point), point.backup_type, point.status)}
          </option>
        ))}
      </select>
      <button type="button" aria-label={files.newerPoint} title={files.newerPoint} disabled={newer === undefined} onClick={() => go(newer)}>▶</button>
      <label class="compare" title={files.compareHint}>
        <input type="checkbox" checked={isComparing.value} onChange={(event) => { isComparing.value = event.currentTarget.checked; }} /> {files.compare}
      </label>
    </div>
  );
}
