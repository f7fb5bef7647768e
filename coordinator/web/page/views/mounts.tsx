import { useSignal } from "@preact/signals";
import { listMounts, readResources } from "../api/disks.ts";
import type { Resources } from "../api/types.ts";
import { ErrorNote } from "../parts/error-note.tsx";
import { useTitle } from "../parts/title.ts";
import { useBackups } from "../state/backups.ts";
import { useLoad } from "../state/load.ts";
import { useNow, useRefresh } from "../state/refresh.ts";
import { catalog } from "../text/catalog.ts";
import { common } from "../text/common.ts";
import { MountItem } from "./mounts/mount-item.tsx";
import "../style/catalog.css";

const text = catalog.mounts;
const refreshMs = 3000;

/** The disks that are open, each with its countdown; and how many more may be. */
export function MountsView() {
  useTitle(text.title);
  const now = useNow();
  const loaded = useLoad(async (signal) => {
    const [mounts, resources] = await Promise.all([listMounts(signal), readResources(signal)]);
    return { mounts, resources };
  }, []);
  useRefresh(loaded, refreshMs);
  const { state, reload } = loaded;
  // Ended here and told by the server: gone at once, whatever an answer that was under way says.
  const ended = useSignal<ReadonlySet<string>>(new Set());
  const { value, error } = state.value;
  const backups = useBackups((value?.mounts ?? []).map(({ backup_id }) => backup_id));
  const mounts = value?.mounts.filter(({ mount_id }) => !ended.value.has(mount_id));

  return (
    <>
      <h1 data-first-focus tabIndex={-1}>{text.title}</h1>
      {error === undefined ? null : <ErrorNote error={error} onRetry={reload} />}
      {mounts === undefined ? (error === undefined ? <p class="quiet">{common.loading}</p> : null) : mounts.length === 0 ? (
        <div class="card empty"><p>{text.none}</p><p class="quiet">{text.noneHint}</p></div>
      ) : (
        <ul class="mounts">
          {mounts.map((mount) => (
            <MountItem key={mount.mount_id} mount={mount} isAgentOnline={value?.resources.agents.find(({ agent_id }) => agent_id === mount.agent_id)?.online ?? true} backup={backups.get(mount.backup_id) ?? undefined} nowMs={now.value} onChanged={reload} onEnded={() => {
              ended.value = new Set(ended.peek()).add(mount.mount_id);
              reload();
            }} />
          ))}
        </ul>
      )}
      {value === undefined ? null : <Slots agents={value.resources.agents} />}
    </>
  );
}

function Slots({ agents }: { agents: Resources["agents"] }) {
  return (
    <section aria-label={text.slotsTitle}>
      <h2>{text.slotsTitle}</h2>
      <ul class="rows">
        {agents.map(({ agent_id, online, slots_used, slots_total }) => (
          <li key={agent_id} class="slot-row">
            <span class="row-name">{agent_id}</span>
            {online ? null : <span class="tag tag-bad">{catalog.site.offline}</span>}
            <meter min={0} max={Math.max(1, slots_total)} value={slots_used} aria-label={agent_id} />
            <span class="quiet">{text.slots(slots_used, slots_total)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
