/** What a key asks of the list. */
export type ListCommand =
  | { readonly kind: "move"; readonly to: "up" | "down" | "pageUp" | "pageDown" | "first" | "last"; readonly extend: boolean }
  | { readonly kind: "jump"; readonly letter: string }
  | { readonly kind: "toggle" | "all" | LeavingCommand };

/** What is not about the list's own rows. */
export type LeavingCommand = "open" | "parent" | "filter" | "path" | "clear";

type Pressed = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

const moves = { ArrowUp: "up", ArrowDown: "down", PageUp: "pageUp", PageDown: "pageDown", Home: "first", End: "last" } as const;
const others = { Enter: "open", Backspace: "parent", " ": "toggle", "/": "filter", Escape: "clear" } as const;

/** @returns undefined for keys that are the browser's, or nobody's */
export function listCommand({ key, ctrlKey, metaKey, altKey, shiftKey }: Pressed): ListCommand | undefined {
  if (altKey) return undefined;
  if (ctrlKey || metaKey) {
    if (key === "a" || key === "A") return { kind: "all" };
    return key === "l" || key === "L" ? { kind: "path" } : undefined;
  }
  if (Object.hasOwn(moves, key)) return { kind: "move", to: moves[key as keyof typeof moves], extend: shiftKey };
  if (Object.hasOwn(others, key)) return { kind: others[key as keyof typeof others] };
  // One character, however many units: a letter typed.
  return [...key].length === 1 ? { kind: "jump", letter: key } : undefined;
}
