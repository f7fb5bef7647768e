/**
 * Guest names for people's eyes. A guest may hold any bytes in a name: control characters and escape
 * sequences that move the cursor or change the terminal, line feeds that look like another entry,
 * characters that turn the direction of what follows. All of them are shown, none is sent.
 */

/** Control, format (direction marks, joiners), unassigned, private use, line and paragraph separators; the backslash itself. */
const unsafe = /[\p{C}\p{Zl}\p{Zp}\\]/gu;
const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", "\\": "\\\\" };

/** Text on one line: what is not plainly printable as `\n`, `\e`, `\x07` or `\u{202e}`. */
export function escapeText(text: string): string {
  return text.replace(unsafe, (character) => named[character] ?? hex(character.codePointAt(0) ?? 0));
}

/** A name given as bytes: also what is not UTF-8 is shown, as `\xff`. */
export function escapeBytes(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.includes("\u{fffd}")) return escapeText(text);
  let shown = "";
  for (let index = 0; index < bytes.length; ) {
    const character = decodeAt(bytes, index);
    shown += character === undefined ? hexByte(bytes[index] ?? 0) : escapeText(character);
    index += character === undefined ? 1 : Buffer.byteLength(character);
  }
  return shown;
}

/** A sentence for the terminal: control characters are escaped, backslashes and everything readable stay. */
export function escapeSentence(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => named[character] ?? hex(character.codePointAt(0) ?? 0));
}

/** The UTF-8 character that begins at the index; undefined when none does. */
function decodeAt(bytes: Buffer, index: number): string | undefined {
  for (let length = 1; length <= 4 && index + length <= bytes.length; length += 1) {
    const text = bytes.toString("utf8", index, index + length);
    if (Buffer.byteLength(text) === length && Buffer.from(text).equals(bytes.subarray(index, index + length)) && [...text].length === 1) return text;
  }
  return undefined;
}

function hex(codePoint: number): string {
  return codePoint < 0x80 ? hexByte(codePoint) : `\\u{${codePoint.toString(16)}}`;
}

function hexByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
