import { ErrorNote } from "../../parts/error-note.tsx";
import { formatSize, formatSpan } from "../../parts/format.ts";
import { dismissDownload, downloads } from "../../state/downloads.ts";
import type { ManagedDownload } from "../../state/managed-download.ts";
import { common } from "../../text/common.ts";
import { files } from "../../text/files.ts";
import { visibleText } from "./visible-name.ts";

/** Downloads that this page writes to disk itself: how far, how fast, how long still. */
export function DownloadsTray() {
  if (downloads.value.length === 0) return null;
  return (
    <section class="downloads" aria-label={files.downloads}>
      <ul>{downloads.value.map((download) => <li key={download}><Download download={download} /></li>)}</ul>
    </section>
  );
}

function Download({ download }: { download: ManagedDownload }) {
  const state = download.state.value;
  const received = download.receivedBytes.value;
  const rate = download.bytesPerSecond.value;
  const name = visibleText(download.name);
  const error = download.error.value;
  return (
    <>
      <div class="download-line">
        <span class="download-name">{name}</span>
        <progress max={download.totalBytes} value={received} aria-label={files.downloadOf(name)} />
        <span class="quiet">
          {files.progress(formatSize(received), formatSize(download.totalBytes))}
          {state === "running" && rate > 0 ? ` · ${files.speed(formatSize(rate))} · ${files.remaining(formatSpan((download.totalBytes - received) / rate))}` : ""}
          {state === "running" ? "" : ` · ${files.state[state]}`}
        </span>
        {state === "running" ? <button type="button" onClick={() => download.pause()}>{files.pause}</button> : null}
        {state === "paused" || (state === "failed" && error?.code !== "file_changed") ? <button type="button" onClick={() => void download.run()}>{files.resume}</button> : null}
        <button type="button" class="plain" onClick={() => dismissDownload(download)}>{state === "done" ? files.dismiss : common.cancel}</button>
      </div>
      {error === undefined ? null : <ErrorNote error={error.code === "file_changed" ? { code: error.code, message: files.fileChanged } : error} />}
    </>
  );
}
