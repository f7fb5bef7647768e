import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { asApiError, type ApiError } from "../../api/problem.ts";
import type { BackupDisk } from "../../api/types.ts";
import { formatExact, formatSize } from "../../parts/format.ts";
import { announce } from "../../parts/live.tsx";
import { OpenFailure } from "../../parts/open-failure.tsx";
import { hrefOf, navigate, type Route } from "../../state/route.ts";
import { catalog } from "../../text/catalog.ts";
import { diskSession } from "../files/disk-session.ts";
import { whyNot } from "./restore-point.ts";

const text = catalog.disk;

/** A disk of a restore point. One click anywhere on it opens it and leads to its volumes. @param when of the restore point, in words */
export function DiskCard({ backupId, disk, when }: { backupId: string; disk: BackupDisk; when: string }) {
  const { disk_index: diskIndex, size_bytes, size_gb, stored_bytes, qcow2_path, mount_id } = disk;
  const busy = useSignal(false);
  const error = useSignal<ApiError | undefined>(undefined);
  const isLeft = useRef(false);
  useEffect(() => () => { isLeft.current = true; }, []);
  const place: Route = { view: "files", backupId, diskIndex, path: "/" };
  const why = whyNot(disk);

  async function open(): Promise<void> {
    busy.value = true;
    error.value = undefined;
    try {
      // The file browser has it at once: what it shows first needs no further answer.
      await diskSession(backupId, diskIndex).reopen();
      // Whoever went elsewhere meanwhile is left there.
      if (isLeft.current) return;
      announce(text.openedBy(diskIndex));
      navigate(place);
    } catch (thrown) {
      error.value = asApiError(thrown);
      busy.value = false;
    }
  }

  function onClick(event: MouseEvent): void {
    // With these the browser opens a tab of its own, where the file browser opens the disk.
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (!busy.peek()) void open();
  }

  return (
    <li class={`card disk ${why === undefined ? "card-opens" : "card-shut"}`} aria-busy={busy.value}>
      <div class="card-head">
        <h3>{text.name(diskIndex)}</h3>
        {mount_id === undefined ? null : <span class="tag tag-good">{text.isOpen}</span>}
        {why === undefined ? (
          <a class="button primary card-link" data-row href={hrefOf(place)} aria-label={busy.value ? undefined : text.openLabel(diskIndex, when)} onClick={onClick}>{busy.value ? text.opening : text.open}</a>
        ) : <span class="tag tag-bad">{disk.status}</span>}
      </div>
      <dl class="facts">
        <div><dt>{text.size}</dt><dd title={size_bytes === null ? undefined : formatExact(size_bytes)}>{size_bytes === null ? `${size_gb} GiB` : formatSize(size_bytes)}</dd></div>
        {stored_bytes === null ? null : <div><dt>{text.stored}</dt><dd title={formatExact(stored_bytes)}>{formatSize(stored_bytes)}</dd></div>}
        {qcow2_path === null ? null : <div class="fact-wide"><dt>{text.file}</dt><dd class="mono">{qcow2_path}</dd></div>}
      </dl>
      {why === undefined ? null : <p class="quiet">{why === "incomplete" ? text.why.incomplete(disk.status) : text.why[why]}</p>}
      {error.value === undefined ? null : <OpenFailure error={error.value} onRetry={() => void open()} />}
    </li>
  );
}
