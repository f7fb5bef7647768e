import { useSignal } from "@preact/signals";
import type { Entry } from "../../../api/types.ts";
import { Dialog } from "../../../parts/dialog.tsx";
import { ErrorNote } from "../../../parts/error-note.tsx";
import { useLoad } from "../../../state/load.ts";
import { common } from "../../../text/common.ts";
import { files } from "../../../text/files.ts";
import type { DiskSession } from "../disk-session.ts";
import { visibleText } from "../visible-name.ts";
import { BytesView } from "./bytes-view.tsx";
import { readPart } from "./file-head.ts";
import { previewKind, type PreviewKind } from "./kind.ts";
import { WholeFile } from "./whole-file.tsx";

/** As much as tells what a file is, and for most shows all of it. */
const headBytes = 256 * 1024;

/** Shows a file as what its first bytes say it is, without letting it do anything. */
export function Preview({ disk, entry, onClose }: { disk: DiskSession; entry: Entry; onClose: () => void }) {
  const { state, reload } = useLoad((signal) => readPart(disk, entry.path, 0, headBytes, signal), [disk, entry.path]);
  const chosen = useSignal<PreviewKind["kind"] | undefined>(undefined);
  const head = state.value.value;
  const found = head === undefined ? undefined : previewKind(head.bytes, head.totalBytes === head.bytes.length);
  const kind = chosen.value ?? found?.kind;
  const isWholeKind = found?.kind === "image" || found?.kind === "pdf";
  return (
    <Dialog title={files.previewTitle(visibleText(entry.name))} wide onClose={onClose}>
      {state.value.error === undefined ? null : <ErrorNote error={state.value.error} onRetry={reload} />}
      {head === undefined || found === undefined ? (
        state.value.error === undefined ? <p class="quiet" role="status">{common.loading}</p> : null
      ) : head.totalBytes === 0 ? (
        <p class="quiet">{files.emptyFile}</p>
      ) : (
        <>
          <div class="preview-kinds">
            {isWholeKind ? <KindButton text={files.showPicture} isCurrent={kind === found.kind} onClick={() => { chosen.value = found.kind; }} /> : null}
            <KindButton text={files.showText} isCurrent={kind === "text"} onClick={() => { chosen.value = "text"; }} />
            <KindButton text={files.showHex} isCurrent={kind === "hex"} onClick={() => { chosen.value = "hex"; }} />
          </div>
          {isWholeKind && kind === found.kind ? (
            <WholeFile disk={disk} entry={entry} head={head} kind={found.kind} mediaType={found.mediaType} onFailed={() => { chosen.value = "hex"; }} />
          ) : (
            <BytesView key={kind} disk={disk} path={entry.path} head={head} as={kind === "text" ? "text" : "hex"} />
          )}
        </>
      )}
    </Dialog>
  );
}

function KindButton({ text, isCurrent, onClick }: { text: string; isCurrent: boolean; onClick: () => void }) {
  return <button type="button" aria-pressed={isCurrent} onClick={onClick}>{text}</button>;
}
