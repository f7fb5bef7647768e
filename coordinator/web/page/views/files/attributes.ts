/** "rwxr-sr-t" of an octal mode, as ls shows it. @param mode four octal digits: "2755" */
export function modeLetters(mode: string): string {
  const bits = Number.parseInt(mode, 8);
  const triple = (shift: number, special: boolean, letter: string): string => {
    const executable = (bits >> shift) & 1;
    const last = special ? (executable ? letter : letter.toUpperCase()) : executable ? "x" : "-";
    return `${(bits >> (shift + 2)) & 1 ? "r" : "-"}${(bits >> (shift + 1)) & 1 ? "w" : "-"}${last}`;
  };
  return triple(6, (bits & 0o4000) !== 0, "s") + triple(3, (bits & 0o2000) !== 0, "s") + triple(0, (bits & 0o1000) !== 0, "t");
}

export function fromBase64(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** An attribute's value that is text: UTF-8 without control characters, but for one zero at its end. */
export function attributeText(bytes: Uint8Array): string | undefined {
  const value = bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
    return /[\p{Cc}\p{Cf}]/u.test(text.replace(/[\n\t]/g, "")) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** A line of a POSIX ACL. */
export interface AclEntry {
  readonly who: "owner" | "user" | "group-owner" | "group" | "mask" | "other";
  /** Of user and group. */
  readonly id: number | undefined;
  /** "rw-" */
  readonly permissions: string;
}

/**
 * The value of system.posix_acl_access and _default. Source: Linux include/uapi/linux/posix_acl_xattr.h.
 *
 * | Offset | Size | Field | Meaning |
 * |---|---|---|---|
 * | 0 | 4 | a_version | 2 |
 * | 4 + 8n | 2 | e_tag | 1 owner, 2 user, 4 owning group, 8 group, 16 mask, 32 other |
 * | 6 + 8n | 2 | e_perm | bits: 4 read, 2 write, 1 execute |
 * | 8 + 8n | 4 | e_id | user or group; 2^32 - 1 for none |
 *
 * @returns undefined for what is none
 */
export function parsePosixAcl(bytes: Uint8Array): AclEntry[] | undefined {
  if (bytes.length < 4 || bytes.length % 8 !== 4) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 2) return undefined;
  const tags: Readonly<Record<number, AclEntry["who"]>> = { 1: "owner", 2: "user", 4: "group-owner", 8: "group", 16: "mask", 32: "other" };
  const entries: AclEntry[] = [];
  for (let offset = 4; offset < bytes.length; offset += 8) {
    const who = tags[view.getUint16(offset, true)];
    if (who === undefined) return undefined;
    const bits = view.getUint16(offset + 2, true);
    entries.push({
      who,
      id: who === "user" || who === "group" ? view.getUint32(offset + 4, true) : undefined,
      permissions: `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${bits & 1 ? "x" : "-"}`,
    });
  }
  return entries;
}
