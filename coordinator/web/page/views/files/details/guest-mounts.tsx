import { readFileInfo } from "../../../api/links.ts";
import { useLoad } from "../../../state/load.ts";
import { files } from "../../../text/files.ts";
import type { DiskSession } from "../disk-session.ts";
import { Name } from "../name.tsx";

/** For the root of a guest's own tree: what became of each line of its fstab. Nothing for other folders. */
export function GuestMounts({ disk, path }: { disk: DiskSession; path: string }) {
  const isRoot = /^\/guest[^/]*$/.test(path);
  const { state } = useLoad(async (signal) => (isRoot ? await disk.use((mountId) => readFileInfo(mountId, path, { signal })) : undefined), [disk, path]);
  const guest = state.value.value?.guest;
  if (guest === undefined) return null;
  const { guestColumns: columns } = files;
  return (
    <details class="guest-mounts">
      <summary>{files.guestMounts}</summary>
      <div class="scroll-x">
        <table>
          <thead><tr><th>{columns.source}</th><th>{columns.place}</th><th>{columns.type}</th><th>{columns.options}</th><th>{columns.outcome}</th></tr></thead>
          <tbody>
            {guest.mounts.map((line) => (
              <tr key={`${line.source} ${line.mount_point}`}>
                <td><code><Name name={line.source} /></code></td>
                <td><code><Name name={line.mount_point} /></code></td>
                <td><Name name={line.type} /></td>
                <td><Name name={line.options} /></td>
                <td>{line.problem === null ? (line.volume === null ? "" : files.guestVolume(line.volume)) : <span class="warn">{line.problem}</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
