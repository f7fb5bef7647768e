import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call } from "../api/client.ts";
import { asApiError, type ApiError } from "../api/problem.ts";
import { ElsewhereNote } from "../parts/elsewhere-note.tsx";
import { ErrorNote } from "../parts/error-note.tsx";
import { useTitle } from "../parts/title.ts";
import { isRefused, keepToken, type Session } from "../state/session.ts";
import { common } from "../text/common.ts";

export function SignIn() {
  useTitle(common.signIn);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const error = useSignal<ApiError | undefined>(undefined);
  const busy = useSignal(false);

  async function signIn(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement).get("token");
    if (typeof entered !== "string" || entered.trim() === "") return;
    busy.value = true;
    error.value = undefined;
    try {
      keepToken(entered.trim(), await call<Session>("/session", { token: entered.trim() }));
    } catch (thrown) {
      error.value = asApiError(thrown);
    } finally {
      busy.value = false;
    }
  }

  return (
    <main class="sign-in" id="content">
      <h1>{common.product}</h1>
      <p class="quiet">{common.tagline}</p>
      <ElsewhereNote />
      <form onSubmit={(event) => void signIn(event)}>
        <label for="token">{common.tokenLabel}</label>
        <input ref={field} id="token" name="token" type="password" autocomplete="current-password" required spellcheck={false} aria-describedby="token-hint" />
        <p id="token-hint" class="quiet">{common.tokenHint}</p>
        <button type="submit" class="primary" disabled={busy.value}>{common.signIn}</button>
      </form>
      {isRefused.value && error.value === undefined ? <p class="note" role="alert">{common.tokenEnded}</p> : null}
      {error.value === undefined ? null : error.value.status === 401 ? <p class="note note-error" role="alert">{common.tokenRefused}</p> : <ErrorNote error={error.value} />}
    </main>
  );
}
