import type { ComponentChildren } from "preact";

/**
 * A button whose work takes a while. While it does, it keeps the focus and says so; `disabled` would
 * throw whoever uses the keyboard back to the start of the page.
 */
export function BusyButton({ busy, onClick, kind, label, children }: { busy: boolean; onClick: () => void; kind?: "primary" | "danger"; label?: string; children: ComponentChildren }) {
  return <button type="button" class={kind} aria-label={busy ? undefined : label} aria-disabled={busy} onClick={() => { if (!busy) onClick(); }}>{children}</button>;
}
