import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { asApiError, isAbort, type ApiError } from "../../../api/problem.ts";
import { ErrorNote } from "../../../parts/error-note.tsx";
import { formatSize } from "../../../parts/format.ts";
import { files } from "../../../text/files.ts";
import type { DiskSession } from "../disk-session.ts";
import { guessEncoding, inertText, type Encoding } from "./encoding.ts";
import { readPart, type FilePart } from "./file-head.ts";
import { hexDump } from "./hex.ts";

const encodings = Object.keys(files.encodings) as Encoding[];
/** What one more click shows, and as far as it goes: text is one element, and a browser lays all of it out. */
const limits = { text: { stepBytes: 256 * 1024, maxBytes: 4 * 1024 * 1024 }, hex: { stepBytes: 16 * 1024, maxBytes: 512 * 1024 } } as const;

/** A file's bytes as text or hex, from its beginning, more on request. */
export function BytesView({ disk, path, head, as }: { disk: DiskSession; path: string; head: FilePart; as: keyof typeof limits }) {
  const { stepBytes, maxBytes } = limits[as];
  const bytes = useSignal(head.bytes);
  const shown = useSignal(Math.min(stepBytes, head.bytes.length));
  const error = useSignal<ApiError | undefined>(undefined);
  const guess = useRef(guessEncoding(head.bytes, head.bytes.length === head.totalBytes));
  const encoding = useSignal<Encoding>(guess.current ?? "windows-1252");
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);

  async function more(): Promise<void> {
    const wanted = Math.min(shown.value + stepBytes, head.totalBytes, maxBytes);
    try {
      error.value = undefined;
      if (wanted > bytes.value.length) {
        const part = await readPart(disk, path, bytes.value.length, wanted - bytes.value.length, abort.current.signal);
        const all = new Uint8Array(bytes.value.length + part.bytes.length);
        all.set(bytes.value);
        all.set(part.bytes, bytes.value.length);
        bytes.value = all;
      }
      shown.value = Math.min(wanted, bytes.value.length);
    } catch (thrown) {
      if (!isAbort(thrown)) error.value = asApiError(thrown);
    }
  }

  const part = bytes.value.subarray(0, shown.value);
  return (
    <>
      <div class="preview-facts quiet">
        <span>{files.shownOf(formatSize(shown.value), formatSize(head.totalBytes))}</span>
        {as === "text" ? (
          <label>
            {files.encoding}{" "}
            <select value={encoding.value} onChange={(event) => { encoding.value = event.currentTarget.value as Encoding; }}>
              {encodings.map((one) => <option key={one} value={one}>{one === guess.current ? files.guessed(files.encodings[one]) : files.encodings[one]}</option>)}
            </select>
          </label>
        ) : null}
      </div>
      <pre class={`preview-bytes preview-${as}`} tabIndex={0} role="document" aria-label={as === "text" ? files.showText : files.showHex}>
        {as === "text" ? inertText(new TextDecoder(encoding.value).decode(part, { stream: shown.value < head.totalBytes })) : hexDump(part)}
      </pre>
      {error.value === undefined ? null : <ErrorNote error={error.value} onRetry={() => void more()} />}
      {shown.value >= head.totalBytes ? null : shown.value >= maxBytes ? <p class="quiet">{files.tooMuch}</p> : <button type="button" onClick={() => void more()}>{files.showMore}</button>}
    </>
  );
}
