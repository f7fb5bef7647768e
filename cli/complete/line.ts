/**
 * What stands before the cursor, as bash gives it: one string. Its own words are cut at `:` and `@`,
 * so they are no help.
 */
export interface TypedLine {
  /** Words before the one at the cursor, as the program would get them. */
  readonly words: readonly string[];
  /** The word at the cursor, as far as it is typed. */
  readonly current: string;
  /** The quote it is inside of. */
  readonly quote: "" | "'" | '"';
}

/** Splits as a shell does: blanks, quotes, backslashes. Substitutions stay as they are written. */
export function splitLine(line: string): TypedLine {
  const words: string[] = [];
  let current = "";
  let isInWord = false;
  let quote: TypedLine["quote"] = "";
  for (let index = 0; index < line.length; index += 1) {
    const character = line[index] ?? "";
    if (quote === "'") {
      if (character === "'") quote = "";
      else current += character;
    } else if (character === "\\" && (quote === "" || /["\\$`]/.test(line[index + 1] ?? ""))) {
      index += 1;
      current += line[index] ?? "";
      isInWord = true;
    } else if (quote === '"') {
      if (character === '"') quote = "";
      else current += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      isInWord = true;
    } else if (/\s/.test(character)) {
      if (isInWord) words.push(current);
      current = "";
      isInWord = false;
    } else {
      current += character;
      isInWord = true;
    }
  }
  return { words, current, quote };
}

/** Characters that end a word for readline but not for us: COMP_WORDBREAKS of bash. */
const breaks = /[@><=;|&(:]/g;

/**
 * A candidate as bash's COMPREPLY wants it: quoted, and without what readline does not replace: the
 * part of the word up to its last break.
 */
export function forBash(candidate: string, { current, quote }: TypedLine): string {
  const kept = quote === "" ? [...current.matchAll(breaks)].at(-1) : undefined;
  // Readline takes an "@" that ends a word for the beginning of the next.
  const prefixLength = kept === undefined ? 0 : kept[0] === "@" ? kept.index : kept.index + 1;
  const rest = candidate.slice(prefixLength);
  if (quote === "'") return rest.replaceAll("'", `'\\''`);
  if (quote === '"') return rest.replace(/["\\$`]/g, "\\$&");
  return rest.replace(/[^\w@%+=:,./~^-]|^~/gu, (character) => (character.codePointAt(0) ?? 0) > 0x7f ? character : `\\${character}`);
}
