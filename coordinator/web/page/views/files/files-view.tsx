import { useEffect, useMemo } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { readBackup } from "../../api/catalog.ts";
import { asApiError, type ApiError } from "../../api/problem.ts";
import type { Backup } from "../../api/types.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import { OpenFailure } from "../../parts/open-failure.tsx";
import { useTitle } from "../../parts/title.ts";
import { useLoad } from "../../state/load.ts";
import { hrefOf, navigate } from "../../state/route.ts";
import { files } from "../../text/files.ts";
import { VolumeCards } from "../vm/volume-cards.tsx";
import { BasketBar } from "./basket-bar.tsx";
import { Browser } from "./browser.tsx";
import { diskSession } from "./disk-session.ts";
import { DownloadsTray } from "./downloads-tray.tsx";
import { NoticeBar } from "./notice.tsx";
import { pointBefore, RestorePoints, timeOf, useRestorePoints } from "./restore-points.tsx";
import { visibleText } from "./visible-name.ts";
import "../../style/files.css";

/** A disk of a restore point: opens it, whoever comes with the address; shows its volumes, or a folder. */
export function FilesView({ backupId, diskIndex, path }: { backupId: string; diskIndex: number; path: string }) {
  const disk = useMemo(() => diskSession(backupId, diskIndex), [backupId, diskIndex]);
  const { state: loaded, reload } = useLoad(async (signal) => await readBackup(backupId, signal), [backupId]);
  const openError = useSignal<ApiError | undefined>(undefined);
  // The one of before stays until the next is there: its head and its restore points do not flicker.
  const lastBackup = useSignal<Backup | undefined>(undefined);
  const fresh = loaded.value.value;
  if (fresh !== undefined && lastBackup.peek() !== fresh) lastBackup.value = fresh;
  const backup = fresh ?? lastBackup.value;
  const points = useRestorePoints(backup?.vm_name, diskIndex);
  useTitle(backup === undefined ? "" : `${backup.vm_name} ${visibleText(path)}`);

  const open = (): void => {
    openError.value = undefined;
    disk.reopen().catch((error: unknown) => { openError.value = asApiError(error); });
  };
  useEffect(open, [disk]);

  const mount = disk.mount.value;
  const archiveName = backup === undefined ? backupId : `${backup.vm_name}-${timeOf(backup).slice(0, 10)}`;
  return (
    <div class="files">
      <header class="files-head">
        {backup === undefined ? <h1>{backupId}</h1> : <h1><a href={hrefOf({ view: "vm", vmName: backup.vm_name, backupId })}>{backup.vm_name}</a></h1>}
        {backup === undefined ? null : <DiskSelect backup={backup} diskIndex={diskIndex} />}
        {backup === undefined ? null : <RestorePoints points={points} backup={fresh ?? { ...backup, backup_id: backupId }} diskIndex={diskIndex} path={path} />}
      </header>
      {loaded.value.error === undefined || openError.value !== undefined ? null : <ErrorNote error={loaded.value.error} onRetry={reload} />}
      {openError.value === undefined ? null : <OpenFailure error={openError.value} onRetry={open} />}
      <NoticeBar />
      {openError.value !== undefined && mount === undefined ? null : path !== "/" ? (
        <Browser disk={disk} path={path} before={pointBefore(points, backupId, diskIndex)} archiveName={archiveName} />
      ) : mount === undefined ? (
        <p class="quiet" role="status">{files.opening}</p>
      ) : (
        <section>
          <h2>{files.volumesOf(diskIndex)}</h2>
          <VolumeCards mount={mount} backupId={backupId} diskIndex={diskIndex} onUnlocked={(unlocked) => disk.update(unlocked)} />
        </section>
      )}
      <BasketBar archiveName={archiveName} />
      <DownloadsTray />
    </div>
  );
}

function DiskSelect({ backup, diskIndex }: { backup: Backup; diskIndex: number }) {
  return (
    <select
      aria-label={files.disk}
      value={diskIndex}
      onChange={(event) => navigate({ view: "files", backupId: backup.backup_id, diskIndex: Number(event.currentTarget.value), path: "/" })}
    >
      {backup.disks.map(({ disk_index: index, mountable }) => <option key={index} value={index} disabled={!mountable && index !== diskIndex}>{files.diskOption(index)}</option>)}
    </select>
  );
}
