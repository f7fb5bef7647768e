import { signal } from "@preact/signals";

const said = signal("");

/** Tells people who hear the page what others see change. */
export function announce(text: string): void {
  // The same words once more are news only when they differ.
  said.value = said.value === text ? `${text}\u00A0` : text;
}

/** One for the whole page, there from the start: what appears together with its words is not read out. */
export function LiveRegion() {
  return <div class="hidden-label" role="status" aria-live="polite">{said.value}</div>;
}
