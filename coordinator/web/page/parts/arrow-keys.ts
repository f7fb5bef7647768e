/**
 * Up, Down, Home and End among the rows of a list, which are links or buttons marked `data-row`.
 * Up from the first row leads to `above`. Everything else stays as the browser has it.
 */
export function moveAmongRows(event: KeyboardEvent, list: HTMLElement, above?: HTMLElement | null): void {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const rows = [...list.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const target = targetOf(event.key, at, rows.length);
  if (target === undefined) return;
  event.preventDefault();
  if (target < 0) above?.focus();
  else rows[target]?.focus();
}

/** @param at the focused row, -1 for none @returns the row to go to, -1 for what is above; undefined when the key is another */
export function targetOf(key: string, at: number, count: number): number | undefined {
  if (count === 0) return undefined;
  switch (key) {
    case "ArrowDown":
      return Math.min(at + 1, count - 1);
    case "ArrowUp":
      return at <= 0 ? -1 : at - 1;
    // In a text field they move the caret.
    case "Home":
      return at < 0 ? undefined : 0;
    case "End":
      return at < 0 ? undefined : count - 1;
    default:
      return undefined;
  }
}
