import type { ApiError } from "../api/problem.ts";
import { unreachable } from "../api/problem.ts";
import { advice } from "../text/advice.ts";
import { common } from "../text/common.ts";

/** What went wrong, what to do, and the code to tell somebody. */
export function ErrorNote({ error, onRetry }: { error: Pick<ApiError, "code" | "message">; onRetry?: () => void }) {
  const todo = advice[error.code];
  return (
    <div class="note note-error" role="alert">
      <p>{error.code === unreachable ? common.unreachable : error.message}</p>
      {todo === undefined ? null : <p>{todo}</p>}
      <p class="note-foot">
        <span>{common.errorCode}: <code>{error.code}</code></span>
        {onRetry === undefined ? null : <button type="button" onClick={onRetry}>{common.retry}</button>}
      </p>
    </div>
  );
}
