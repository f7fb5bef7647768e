import { signal } from "@preact/signals";
import type { ApiError } from "../../api/problem.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import { announce } from "../../parts/live.tsx";
import { files } from "../../text/files.ts";

type Notice = { readonly text: string } | { readonly error: Pick<ApiError, "code" | "message"> };

/** What became of the last thing that somebody asked for. */
const notice = signal<Notice | undefined>(undefined);

export function tell(text: string): void {
  notice.value = { text };
  announce(text);
}

export function tellError(error: Pick<ApiError, "code" | "message">): void {
  notice.value = { error };
}

/** Before something new is tried, and when another place is gone to. */
export function forgetNotice(): void {
  notice.value = undefined;
}

export function NoticeBar() {
  const current = notice.value;
  if (current === undefined) return null;
  return (
    <div class="notice">
      {"text" in current ? <p class="note">{current.text}</p> : <ErrorNote error={current.error} />}
      <button type="button" class="plain" onClick={forgetNotice}>{files.dismiss}</button>
    </div>
  );
}
