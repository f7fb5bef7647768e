const lineBytes = 16;

/** Lines as of hexdump -C: offset, bytes, and what of them is ASCII. @param offset of the first byte in its file */
export function hexDump(bytes: Uint8Array, offset = 0): string {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += lineBytes) {
    const part = bytes.subarray(start, start + lineBytes);
    let hex = "";
    let text = "";
    for (let index = 0; index < lineBytes; index += 1) {
      const byte = part[index];
      if (index === 8) hex += " ";
      hex += byte === undefined ? "   " : ` ${byte.toString(16).padStart(2, "0")}`;
      if (byte !== undefined) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
    }
    lines.push(`${(offset + start).toString(16).padStart(8, "0")} ${hex}  |${text}|`);
  }
  return lines.join("\n");
}

/** "01 ab ff" */
export function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
