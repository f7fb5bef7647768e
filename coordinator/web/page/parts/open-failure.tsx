import { endMount, listMounts } from "../api/disks.ts";
import { asApiError, type ApiError } from "../api/problem.ts";
import type { Mount } from "../api/types.ts";
import { useSignal } from "@preact/signals";
import { useBackups } from "../state/backups.ts";
import { useLoad } from "../state/load.ts";
import { catalog } from "../text/catalog.ts";
import { BusyButton } from "./busy-button.tsx";
import { ErrorNote } from "./error-note.tsx";
import { formatTime } from "./format.ts";
import { announce } from "./live.tsx";

/** Why a disk could not be opened. With all slots taken: which disks hold them, to end one there and then. */
export function OpenFailure({ error, onRetry }: { error: Pick<ApiError, "code" | "message">; onRetry: () => void }) {
  return (
    <div class="open-failure">
      <ErrorNote error={error} onRetry={onRetry} />
      {error.code === "nbd_devices_exhausted" ? <TakenSlots onEnded={onRetry} /> : null}
    </div>
  );
}

function TakenSlots({ onEnded }: { onEnded: () => void }) {
  const { state } = useLoad((signal) => listMounts(signal), []);
  const ending = useSignal<string | undefined>(undefined);
  const failure = useSignal<ApiError | undefined>(undefined);
  const mounts = state.value.value?.filter(({ status }) => status === "mounted" || status === "mounting");
  const backups = useBackups((mounts ?? []).map(({ backup_id }) => backup_id));
  if (mounts === undefined) return null;

  const nameOf = (mount: Mount): string => {
    const backup = backups.get(mount.backup_id);
    const name = catalog.mounts.of(backup?.vm_name ?? mount.backup_id, mount.disk_index);
    return backup == null ? name : `${name}, ${formatTime(backup.completed_at)}`;
  };
  async function end(mount: Mount): Promise<void> {
    ending.value = mount.mount_id;
    failure.value = undefined;
    try {
      await endMount(mount.mount_id);
      announce(catalog.mounts.ended(nameOf(mount)));
      onEnded();
    } catch (thrown) {
      failure.value = asApiError(thrown);
    } finally {
      ending.value = undefined;
    }
  }

  return (
    <div class="note">
      <p>{mounts.length === 0 ? catalog.slots.none : catalog.slots.title}</p>
      <ul class="slots">
        {mounts.map((mount) => (
          <li key={mount.mount_id}>
            <span>{nameOf(mount)} <span class="quiet">{catalog.mounts.agent(mount.agent_id)}</span></span>
            <BusyButton kind="danger" busy={ending.value !== undefined} label={catalog.mounts.label(catalog.mounts.end, nameOf(mount))} onClick={() => void end(mount)}>{catalog.mounts.end}</BusyButton>
          </li>
        ))}
      </ul>
      {failure.value === undefined ? null : <ErrorNote error={failure.value} />}
    </div>
  );
}
