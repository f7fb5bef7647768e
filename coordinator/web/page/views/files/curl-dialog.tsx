import { CopyButton } from "../../parts/copy-button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { ErrorNote } from "../../parts/error-note.tsx";
import { formatTime } from "../../parts/format.ts";
import { useLoad } from "../../state/load.ts";
import { common } from "../../text/common.ts";
import { files } from "../../text/files.ts";
import type { CurlLines } from "./chosen.ts";

/** A line that fetches what was chosen from any machine, to copy. */
export function CurlDialog({ lines, onClose }: { lines: () => Promise<CurlLines>; onClose: () => void }) {
  const { state, reload } = useLoad(lines, []);
  const made = state.value.value;
  return (
    <Dialog title={files.curlTitle} onClose={onClose}>
      {state.value.error === undefined ? null : <ErrorNote error={state.value.error} onRetry={reload} />}
      {made === undefined ? (state.value.loading ? <p class="quiet" role="status">{common.loading}</p> : null) : (
        <>
          <LineToCopy label={files.linkCurl} text={made.text} />
          <p class="quiet">{files.curlHint(formatTime(made.expiresAt))}</p>
        </>
      )}
    </Dialog>
  );
}

/** A long text that may be read, selected and copied. */
export function LineToCopy({ label, text }: { label: string; text: string }) {
  return (
    <div class="line-to-copy">
      <label>
        <span>{label}</span>
        <textarea class="mono" readonly rows={4} spellcheck={false} value={text} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <CopyButton text={text} />
    </div>
  );
}
