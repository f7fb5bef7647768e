import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { Entry } from "../../../api/types.ts";
import { ErrorNote } from "../../../parts/error-note.tsx";
import { formatSize } from "../../../parts/format.ts";
import { useLoad } from "../../../state/load.ts";
import { common } from "../../../text/common.ts";
import { files } from "../../../text/files.ts";
import type { DiskSession } from "../disk-session.ts";
import { visibleText } from "../visible-name.ts";
import { BytesView } from "./bytes-view.tsx";
import { readPart, type FilePart } from "./file-head.ts";

/** Larger ones would have to be kept in memory whole. */
const maxWholeBytes = 32 * 1024 * 1024;

interface Props {
  readonly disk: DiskSession;
  readonly entry: Entry;
  readonly head: FilePart;
  readonly kind: "image" | "pdf";
  readonly mediaType: string;
  readonly onFailed: () => void;
}

/**
 * A picture or a PDF, from a blob of the page's own with a media type that the page chose: whatever the
 * file really is, a browser takes it for nothing else. An <img> runs no script; a PDF is the viewer's.
 */
export function WholeFile({ disk, entry, head, kind, mediaType, onFailed }: Props) {
  const isTooBig = head.totalBytes > maxWholeBytes;
  const isShowable = kind === "image" || navigator.pdfViewerEnabled;
  const { state, reload } = useLoad(async (signal) => {
    if (isTooBig || !isShowable) return undefined;
    const rest = head.totalBytes > head.bytes.length ? await readPart(disk, entry.path, head.bytes.length, head.totalBytes - head.bytes.length, signal) : undefined;
    return new Blob(rest === undefined ? [head.bytes] : [head.bytes, rest.bytes], { type: mediaType });
  }, [disk, entry.path]);
  const url = useObjectUrl(state.value.value);
  if (isTooBig || !isShowable) return <><p class="note">{isTooBig ? files.tooBig(formatSize(maxWholeBytes)) : files.noPdf}</p><BytesView disk={disk} path={entry.path} head={head} as="hex" /></>;
  if (state.value.error !== undefined) return <ErrorNote error={state.value.error} onRetry={reload} />;
  if (url === undefined) return <p class="quiet" role="status">{common.loading}</p>;
  if (kind === "pdf") return <iframe class="preview-pdf" src={url} title={files.previewTitle(visibleText(entry.name))} />;
  return <div class="preview-picture"><img src={url} alt={files.picture(visibleText(entry.name))} onError={onFailed} /></div>;
}

/** An address for a blob, given back when it is no longer shown. */
function useObjectUrl(blob: Blob | undefined): string | undefined {
  const url = useSignal<string | undefined>(undefined);
  useEffect(() => {
    if (blob === undefined) return undefined;
    const made = URL.createObjectURL(blob);
    url.value = made;
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url.value;
}
