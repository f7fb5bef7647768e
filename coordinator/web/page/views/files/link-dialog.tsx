import { useSignal } from "@preact/signals";
import { createLink } from "../../api/links.ts";
import { asApiError, type ApiError } from "../../api/problem.ts";
import type { CreatedLink, CreateLink } from "../../api/types.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { ErrorNote } from "../../parts/error-note.tsx";
import { formatTime } from "../../parts/format.ts";
import { files } from "../../text/files.ts";
import type { Chosen } from "./chosen.ts";
import { curlForFile, curlForStream } from "./curl.ts";
import { LineToCopy } from "./curl-dialog.tsx";
import { visibleText } from "./visible-name.ts";

type Kind = keyof typeof files.linkKinds;

/** Makes a link for somebody else: what it gives, and for how long. */
export function LinkDialog({ chosen: { disk, entry }, onClose }: { chosen: Chosen; onClose: () => void }) {
  const kinds: readonly Kind[] = entry.type === "directory" ? ["archive zip", "archive tar", "archive tar.gz", "archive tar.zst", "browse"] : ["download"];
  const kind = useSignal<Kind>(kinds[0] ?? "download");
  const lifeS = useSignal(3600);
  const link = useSignal<CreatedLink | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const isBusy = useSignal(false);

  async function make(event: Event): Promise<void> {
    event.preventDefault();
    isBusy.value = true;
    error.value = undefined;
    try {
      link.value = await disk.use((mountId) => createLink(mountId, { ...operationOf(kind.value), path: entry.path, ttl_s: lifeS.value }));
    } catch (thrown) {
      error.value = asApiError(thrown);
    } finally {
      isBusy.value = false;
    }
  }

  const change = (set: () => void): void => {
    set();
    link.value = undefined;
  };
  return (
    <Dialog title={files.linkTitle(visibleText(entry.name))} onClose={onClose}>
      <form class="link-form" onSubmit={(event) => void make(event)}>
        <label>
          <span>{files.linkWhat}</span>
          <select value={kind.value} onChange={(event) => { const { value } = event.currentTarget; change(() => { kind.value = value as Kind; }); }}>
            {kinds.map((one) => <option key={one} value={one}>{files.linkKinds[one]}</option>)}
          </select>
        </label>
        <label>
          <span>{files.linkLife}</span>
          <select value={lifeS.value} onChange={(event) => { const { value } = event.currentTarget; change(() => { lifeS.value = Number(value); }); }}>
            {files.linkLives.map(([seconds, text]) => <option key={seconds} value={seconds}>{text}</option>)}
          </select>
        </label>
        <button type="submit" class="primary" disabled={isBusy.value}>{files.linkMake}</button>
      </form>
      {error.value === undefined ? null : <ErrorNote error={error.value} />}
      {link.value === undefined ? null : (
        <>
          <LineToCopy label={files.linkUrl} text={link.value.url} />
          <LineToCopy label={files.linkCurl} text={kind.value === "download" ? curlForFile(link.value.url, entry.name) : curlForStream(link.value.url, nameFor(kind.value, entry.name))} />
          <p class="quiet">{files.linkUntil(formatTime(link.value.expires_at))}</p>
        </>
      )}
    </Dialog>
  );
}

function operationOf(kind: Kind): Pick<CreateLink, "operation" | "format"> {
  const [operation, format] = kind.split(" ") as [CreateLink["operation"], CreateLink["format"]];
  return format === undefined ? { operation } : { operation, format };
}

function nameFor(kind: Exclude<Kind, "download">, name: string): string {
  return `${name}.${kind === "browse" ? "json" : kind.slice("archive ".length)}`;
}
