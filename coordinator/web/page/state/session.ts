import { computed, signal } from "@preact/signals";

/**
 * The token lives in this tab's sessionStorage: it survives a reload, ends with the tab, and is
 * never a cookie. The strict content security policy keeps foreign scripts away from it.
 */
const storageKey = "pluck-token";

export interface Session {
  readonly name: string;
  readonly role: "admin" | "operator";
}

export const token = signal<string | null>(typeof sessionStorage === "undefined" ? null : sessionStorage.getItem(storageKey));
/** Whose token it is; null until the coordinator has said so. */
export const session = signal<Session | null>(null);
/** The token was good once, and is refused now: it has expired, or was taken away. */
export const isRefused = signal(false);
export const isAdmin = computed(() => session.value?.role === "admin");

export function keepToken(accepted: string, owner: Session): void {
  sessionStorage.setItem(storageKey, accepted);
  isRefused.value = false;
  token.value = accepted;
  session.value = owner;
}

/** Signs out. */
export function signOut(): void {
  isRefused.value = false;
  forgetToken();
}

/** The coordinator refuses this token. The answer to an earlier one may come late, and changes nothing. */
export function dropRefusedToken(refused: string | null): void {
  if (refused === null || refused !== token.peek()) return;
  isRefused.value = true;
  forgetToken();
}

function forgetToken(): void {
  sessionStorage.removeItem(storageKey);
  token.value = null;
  session.value = null;
}
