import { create } from "content-disposition";
import { formatName } from "../../shared/guest-path.ts";
import { byteStringToText, textToByteString, type ByteString } from "../filesystems/byte-string.ts";

/** What common filesystems take for a name. */
const maxFileNameBytes = 255;
/** An ending is kept when a name is cut; a longer one is no file type. */
const maxEndingCharacters = 16;

/**
 * Content-Disposition for a name that a guest made up (RFC 6266, RFC 8187): always an attachment; no
 * control characters, separators or direction marks reach the name a browser saves under.
 * @param suffix added after the name: ".zip"
 */
export function attachment(name: ByteString, suffix = ""): string {
  return create(safeFileName(name, suffix), { type: "attachment" });
}

export function safeFileName(name: ByteString, suffix = ""): string {
  const text = byteStringToText(name);
  // What is not UTF-8 keeps its exact form with %XX.
  const readable = textToByteString(text) === name ? text : formatName(name);
  const safe = readable
    .replace(/[\p{Cc}\p{Zl}\p{Zp}/\\]/gu, "_")
    // Marks that reverse or hide text make "exe.txt" of "txt.exe".
    .replace(/[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, "_")
    .replace(/^\.+$/, "_");
  return shorten(safe === "" ? "download" : safe, maxFileNameBytes - suffix.length) + suffix;
}

/** Cuts between characters, before the ending. */
function shorten(name: string, maxBytes: number): string {
  if (Buffer.byteLength(name) <= maxBytes) return name;
  const dot = name.lastIndexOf(".");
  const ending = dot > 0 && name.length - dot <= maxEndingCharacters ? name.slice(dot) : "";
  let kept = "";
  let bytes = Buffer.byteLength(ending);
  for (const character of name.slice(0, name.length - ending.length)) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    kept += character;
  }
  return kept + ending;
}
