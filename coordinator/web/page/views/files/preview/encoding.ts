/** Encodings that files without a note of theirs are in, as TextDecoder names them. */
export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

/**
 * Guesses what text the first bytes of a file are in; undefined when they are no text.
 * A byte order mark decides, then whether the bytes are UTF-8, then where the zeros of UTF-16 stand;
 * what has hardly a control character is Latin-1 (as browsers, its superset windows-1252).
 * @param isWhole false when a character may be cut at the end
 */
export function guessEncoding(bytes: Uint8Array, isWhole: boolean): Encoding | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return "utf-8";
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  const zeros = countZeros(bytes);
  if (zeros.total > 0) return guessUtf16(bytes.length, zeros);
  if (countControls(bytes) > bytes.length / 100) return undefined;
  return isUtf8(bytes, isWhole) ? "utf-8" : "windows-1252";
}

/** Latin letters in UTF-16 have every other byte zero, and never both of a pair. */
function guessUtf16(length: number, zeros: { readonly even: number; readonly odd: number }): Encoding | undefined {
  const pairs = Math.floor(length / 2);
  if (pairs < 2) return undefined;
  if (zeros.odd > pairs * 0.7 && zeros.even === 0) return "utf-16le";
  if (zeros.even > pairs * 0.7 && zeros.odd === 0) return "utf-16be";
  return undefined;
}

function countZeros(bytes: Uint8Array): { readonly even: number; readonly odd: number; readonly total: number } {
  let even = 0;
  let odd = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    if (bytes[index] !== 0) continue;
    if (index % 2 === 0) even += 1;
    else odd += 1;
  }
  return { even, odd, total: even + odd };
}

/** Control characters that text has no use for; tab, line ends, form feed and escape (coloured logs) are fine. */
function countControls(bytes: Uint8Array): number {
  let found = 0;
  for (const byte of bytes) if ((byte < 0x20 && (byte < 0x08 || byte > 0x0d) && byte !== 0x1b) || byte === 0x7f) found += 1;
  return found;
}

function isUtf8(bytes: Uint8Array, isWhole: boolean): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !isWhole });
    return true;
  } catch {
    return false;
  }
}

/** Control and direction characters of a text, made visible; line ends and tabs stay. */
export function inertText(text: string): string {
  return text
    .replace(/\r\n/g, "\n")
    .replace(/[\x00-\x08\x0b-\x1f]/g, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)))
    .replace(/[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (mark) => `\\u{${mark.charCodeAt(0).toString(16)}}`);
}
