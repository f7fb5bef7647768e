// Names of a directory record without Rock Ridge. Source: ECMA-119, 7.5; Microsoft's Joliet specification; how Linux
// shows them (map=normal): fs/isofs/dir.c and joliet.c.
import { textToByteString, toByteString, type ByteString } from "../byte-string.ts";

/** In lower case, without the version ";1" and the dot before it; other ";" become dots. Ends at a zero byte. */
export function plainName(bytes: Uint8Array): ByteString {
  const end = bytes.indexOf(0);
  const name = toByteString(bytes, 0, end < 0 ? bytes.length : end);
  return name
    .replace(/\.?;1$/, "")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replace(/[;/]/g, ".");
}

/** From UTF-16 (big-endian; half a surrogate pair becomes U+FFFD), without the version and dots at its end. */
export function jolietName(bytes: Uint8Array): ByteString {
  const name = decodeUtf16(bytes).replace(/(?<=.);1$/su, "");
  return textToByteString(name.replace(/(?<=.)\.+$/su, ""));
}

/** Ends at a zero unit; an odd byte at the end is not part of it. */
export function decodeUtf16(bytes: Uint8Array): string {
  const units: number[] = [];
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    const unit = (bytes[at]! << 8) | bytes[at + 1]!;
    if (unit === 0) break;
    units.push(unit);
  }
  return String.fromCharCode(...units).toWellFormed();
}
