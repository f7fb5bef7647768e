import { useSignal } from "@preact/signals";
import { unlockVolume, type Secret } from "../../api/disks.ts";
import { asApiError, type ApiError } from "../../api/problem.ts";
import type { Mount } from "../../api/types.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import { formatSpan } from "../../parts/format.ts";
import { announce } from "../../parts/live.tsx";
import { useNow } from "../../state/refresh.ts";
import { catalog } from "../../text/catalog.ts";
import { visibleText } from "../files/visible-name.ts";
import { maxKeyBytes, toBase64 } from "./key-file.ts";

const text = catalog.unlock;

/** Asks for what opens an encrypted volume. The secret stays in the form, and goes nowhere but to the agent. */
export function UnlockForm({ mountId, volume, onUnlocked }: { mountId: string; volume: string; onUnlocked: (mount: Mount) => void }) {
  const busy = useSignal(false);
  const complaint = useSignal<string | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const blockedUntil = useSignal(0);
  const now = useNow();
  const waitMs = blockedUntil.value - now.value;

  async function unlock(form: HTMLFormElement): Promise<void> {
    complaint.value = undefined;
    error.value = undefined;
    const secret = await readSecret(new FormData(form));
    if (typeof secret === "string") {
      complaint.value = secret;
      return;
    }
    busy.value = true;
    announce(text.working);
    try {
      const mount = await unlockVolume(mountId, volume, secret);
      form.reset();
      announce(text.done(visibleText(volume)));
      onUnlocked(mount);
    } catch (thrown) {
      const failed = asApiError(thrown);
      if (failed.code === "wrong_key") complaint.value = text.wrongKey;
      else error.value = failed;
      if (failed.code === "too_many_attempts") blockedUntil.value = Date.now() + (failed.retryAfterS ?? 0) * 1000;
    } finally {
      busy.value = false;
    }
  }

  const id = `unlock-${volume}`;
  const isBlocked = waitMs > 0;
  return (
    <form class="unlock" aria-label={text.title(visibleText(volume))} onSubmit={(event) => {
      event.preventDefault();
      void unlock(event.currentTarget);
    }}>
      <label for={id}>{text.passphrase}</label>
      <input id={id} name="passphrase" type="password" autocomplete="off" spellcheck={false} maxLength={4096} aria-describedby={`${id}-what`} aria-invalid={complaint.value !== undefined} />
      <label for={`${id}-file`}>{text.keyFile}</label>
      <input id={`${id}-file`} name="key" type="file" />
      <p id={`${id}-what`} class="quiet">{busy.value ? text.working : text.what}</p>
      <button type="submit" class="primary" disabled={busy.value || isBlocked}>{text.submit}</button>
      {complaint.value === undefined ? null : <p class="note note-error" role="alert">{complaint.value}</p>}
      {error.value === undefined ? null : error.value.code === "too_many_attempts" ? <p class="note note-error" role="alert">{text.tooMany}</p> : <ErrorNote error={error.value} />}
      {isBlocked ? <p class="quiet">{text.nextAttempt(formatSpan(waitMs / 1000))}</p> : null}
    </form>
  );
}

/** @returns what to say when there is nothing to send */
async function readSecret(data: FormData): Promise<Secret | string> {
  const file = data.get("key");
  if (file instanceof File && file.size > 0) return file.size > maxKeyBytes ? text.tooLarge : { key: toBase64(new Uint8Array(await file.arrayBuffer())) };
  const passphrase = data.get("passphrase");
  return typeof passphrase === "string" && passphrase !== "" ? { passphrase } : text.missing;
}
