/**
 * Names on disk are bytes. In memory a name is a string in which every UTF-16 unit is one byte
 * (0 to 255): V8 keeps it in one byte a character, `<` compares it byte by byte, and it is a Map key.
 * 100,000 names cost a few megabytes; as many Uint8Arrays would cost ten times that.
 */
export type ByteString = string;

export function toByteString(bytes: Uint8Array, start = 0, end = bytes.length): ByteString {
  return asBuffer(bytes).toString("latin1", start, end);
}

export function byteStringToBytes(name: ByteString): Buffer {
  return Buffer.from(name, "latin1");
}

/** From text (UTF-16) to the byte string of its UTF-8. */
export function textToByteString(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

/** As text for people: invalid UTF-8 becomes U+FFFD. */
export function byteStringToText(name: ByteString): string {
  return isAscii(name) ? name : Buffer.from(name, "latin1").toString("utf8");
}

const notAscii = /[^\x00-\x7f]/;
export function isAscii(text: string): boolean {
  return !notAscii.test(text);
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
