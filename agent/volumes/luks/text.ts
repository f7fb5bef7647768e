/** A NUL-padded text field, byte by byte; what is not ASCII shows as it may. */
export function fieldText(bytes: Uint8Array, offset: number, length: number): string {
  const field = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length);
  const end = field.indexOf(0);
  return field.toString("latin1", 0, end < 0 ? length : end);
}

/** A UUID or label for people: undefined when it is empty or holds control characters or broken UTF-8. */
export function identityText(bytes: Uint8Array, offset: number, length: number): string | undefined {
  const text = Buffer.from(fieldText(bytes, offset, length), "latin1").toString("utf8");
  return text === "" || /[\p{Cc}\ufffd]/u.test(text) ? undefined : text;
}
