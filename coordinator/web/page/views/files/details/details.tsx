import { readFileInfo } from "../../../api/links.ts";
import type { Entry } from "../../../api/types.ts";
import { ErrorNote } from "../../../parts/error-note.tsx";
import { useLoad } from "../../../state/load.ts";
import { files } from "../../../text/files.ts";
import type { DiskSession } from "../disk-session.ts";
import { EntryName } from "../name.tsx";
import { ExtendedAttributes } from "./extended-attributes.tsx";
import { Facts } from "./facts.tsx";
import { FileHash } from "./file-hash.tsx";

/** Keys held down run past many entries: only the one that they stop at is asked for. */
const restMs = 120;

interface Props {
  /** Where the entry is from: of this restore point, or the one before. */
  readonly disk: DiskSession;
  readonly entry: Entry | undefined;
  /** Undefined when there is nothing to be shown of its contents. */
  readonly onPreview: (() => void) | undefined;
}

/** All that is known of one entry. */
export function Details({ disk, entry, onPreview }: Props) {
  const path = entry?.path;
  const { state, reload } = useLoad(async (signal) => {
    if (path === undefined) return undefined;
    await new Promise((resolve) => setTimeout(resolve, restMs));
    signal.throwIfAborted();
    return { path, info: await disk.use((mountId) => readFileInfo(mountId, path, { signal })) };
  }, [disk, path]);
  if (entry === undefined) return <p class="quiet">{files.noEntry}</p>;
  const loaded = state.value.value;
  const info = loaded !== undefined && loaded.path === path ? loaded.info : undefined;
  return (
    <>
      <div class="details-head">
        <h2><EntryName entry={entry} /></h2>
        {onPreview === undefined ? null : <button type="button" onClick={onPreview}>{files.preview}</button>}
      </div>
      <Facts entry={entry} info={info} hash={entry.type === "file" && entry.error === undefined ? <FileHash key={`${disk.backupId}${path}`} disk={disk} path={entry.path} /> : null} />
      {info === undefined ? null : <ExtendedAttributes xattrs={info.xattrs} />}
      {/* What the listing says of it already needs no second telling. */}
      {state.value.error === undefined || entry.error !== undefined ? null : <ErrorNote error={state.value.error} onRetry={reload} />}
    </>
  );
}
