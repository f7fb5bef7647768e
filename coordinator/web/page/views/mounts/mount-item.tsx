import { useSignal } from "@preact/signals";
import { endMount, extendMount } from "../../api/disks.ts";
import { asApiError, type ApiError } from "../../api/problem.ts";
import type { Backup, Mount } from "../../api/types.ts";
import { BusyButton } from "../../parts/busy-button.tsx";
import { formatCountdown } from "../../parts/dates.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import { formatTime } from "../../parts/format.ts";
import { announce } from "../../parts/live.tsx";
import { hrefOf } from "../../state/route.ts";
import { catalog } from "../../text/catalog.ts";

const text = catalog.mounts;
/** Less than this is left: worth a look. */
const soonMs = 5 * 60_000;

/** One open disk. @param backup undefined until it is known, or when it is not to be had */
export function MountItem({ mount, backup, isAgentOnline, nowMs, onChanged, onEnded }: { mount: Mount; backup: Backup | undefined; isAgentOnline: boolean; nowMs: number; onChanged: () => void; onEnded: () => void }) {
  const busy = useSignal(false);
  const error = useSignal<ApiError | undefined>(undefined);
  const { mount_id: mountId, backup_id: backupId, disk_index: diskIndex, status, agent_id } = mount;
  const leftMs = Date.parse(mount.expires_at) - nowMs;
  const name = text.of(backup?.vm_name ?? backupId, diskIndex);
  const label = `${name}${backup === undefined ? "" : `, ${formatTime(backup.completed_at)}`}`;

  async function run(action: () => Promise<unknown>, done: string, then: () => void): Promise<void> {
    busy.value = true;
    error.value = undefined;
    try {
      await action();
      announce(done);
      then();
    } catch (thrown) {
      error.value = asApiError(thrown);
    } finally {
      busy.value = false;
    }
  }
  const end = (): void => void run(() => endMount(mountId), text.ended(name), onEnded);

  return (
    <li class="card mount">
      <div class="card-head">
        <h2>{name}</h2>
        <span class={`tag ${status === "mounted" ? "tag-good" : status === "failed" ? "tag-bad" : "tag-warn"}`}>{text.status[status]}</span>
        {status === "mounted" || status === "mounting" ? <span class={leftMs < soonMs ? "countdown soon" : "countdown quiet"}>{leftMs > 0 ? text.endsIn(formatCountdown(leftMs)) : text.endsNow}</span> : null}
      </div>
      <p class="quiet">{backup === undefined ? <span class="mono">{backupId}</span> : text.taken(backup.backup_type, formatTime(backup.completed_at))} {text.agent(agent_id)}</p>
      {isAgentOnline || status === "failed" ? null : <p class="note note-warn">{text.agentOffline(agent_id)}</p>}
      {mount.error === undefined ? null : <ErrorNote error={{ code: mount.error.code, message: mount.error.detail }} />}
      <p class="card-foot">
        {status === "mounted" ? <a class="button primary" href={hrefOf({ view: "files", backupId, diskIndex, path: "/" })} aria-label={text.label(text.browse, label)}>{text.browse}</a> : null}
        {status === "mounted" ? <BusyButton busy={busy.value} label={text.label(text.extend, label)} onClick={() => void run(() => extendMount(mountId), text.extended(name), onChanged)}>{text.extend}</BusyButton> : null}
        {status === "unmounting" ? null : <BusyButton kind="danger" busy={busy.value} label={text.label(status === "failed" ? text.dismiss : text.end, label)} onClick={end}>{status === "failed" ? text.dismiss : text.end}</BusyButton>}
      </p>
      {error.value === undefined ? null : <ErrorNote error={error.value} />}
    </li>
  );
}
