/**
 * Guest file names are whatever somebody wrote there: control characters, marks that turn the
 * direction of text ("exe.txt" of "txt.exe"), spaces nobody sees. Here they become visible.
 */
export interface NamePart {
  readonly text: string;
  /** Stands for a character that is not shown as itself. */
  readonly isEscape: boolean;
}

// Controls, format characters (directions, zero width), line separators, surrogates without their other
// half, private use, U+FFFD, blanks that look like none or like a space; a space at either end.
const hidden = /\u034f|[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u00a0\u115f\u1160\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0\ufffd]|^ +| +$/gu;
/** Names that need no second look, and most do not. */
const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The parts of a name, ready to be shown; never empty. */
export function visibleParts(name: string): NamePart[] {
  if (plain.test(name)) return [{ text: name, isEscape: false }];
  const parts: NamePart[] = [];
  let from = 0;
  for (const match of name.matchAll(hidden)) {
    if (isJoined(name, match.index, match[0])) continue;
    if (match.index > from) parts.push({ text: name.slice(from, match.index), isEscape: false });
    parts.push({ text: escapeOf(match[0]), isEscape: true });
    from = match.index + match[0].length;
  }
  if (from < name.length || parts.length === 0) parts.push({ text: name.slice(from), isEscape: false });
  return parts;
}

/**
 * The parts of an entry's name. One that is no UTF-8 comes with U+FFFD in `name`, and in `path` with
 * its bytes as %XX: those are shown.
 */
export function entryNameParts({ name, path }: { readonly name: string; readonly path: string }): NamePart[] {
  const exact = path.slice(path.lastIndexOf("/") + 1);
  if (!name.includes("\ufffd") || exact.includes("\ufffd")) return visibleParts(name);
  return exact.split(/(%[0-9A-F]{2})/).flatMap((part) => {
    if (part === "") return [];
    if (!/^%[0-9A-F]{2}$/.test(part)) return visibleParts(part);
    return [part === "%25" ? { text: "%", isEscape: false } : { text: `\\x${part.slice(1).toLowerCase()}`, isEscape: true }];
  });
}

/** The same as one text: for labels and titles. */
export function visibleText(name: string): string {
  return visibleParts(name).map(({ text }) => text).join("");
}

function escapeOf(found: string): string {
  if (found.startsWith(" ")) return "\\x20".repeat(found.length);
  const code = found.codePointAt(0) ?? 0;
  return short[found] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`);
}

/** A zero width joiner between two emoji makes one picture of them: shown as it is meant. */
function isJoined(name: string, index: number, found: string): boolean {
  if (found !== "\u200d") return false;
  return /\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?$/u.test(name.slice(Math.max(0, index - 5), index)) && /^\p{Extended_Pictographic}/u.test(name.slice(index + 1, index + 4));
}

/**
 * A name for the user's own disk: no separators, no control or direction characters, nothing that a
 * shell or a file manager takes for an option or a hidden file's path.
 */
export function safeFileName(name: string): string {
  const safe = name.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\]/gu, "_").replace(/^\.+$/, "_").slice(0, 200);
  return safe === "" ? "download" : safe;
}
