import { byteStringToBytes, isAscii, type ByteString } from "../../filesystems/byte-string.ts";
import type { Timestamp } from "../../filesystems/filesystem.ts";

/*
 * PAX extended header records, by POSIX.1-2017 pax "pax Extended Header": each is
 * "<length> <keyword>=<value>\n", the length in decimal and counting itself. Values are bytes:
 * with hdrcharset=BINARY names are not taken for UTF-8.
 */
export class PaxRecords {
  readonly #records: Buffer[] = [];
  #binary = false;

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  /** A name or a link target: raw bytes, marked as such when they are not UTF-8. */
  addName(keyword: string, name: ByteString): void {
    const bytes = byteStringToBytes(name);
    if (!this.#binary && !isAscii(name) && !Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes)) {
      this.#binary = true;
      this.#records.unshift(record("hdrcharset", Buffer.from("BINARY")));
    }
    this.#records.push(record(keyword, bytes));
  }

  addText(keyword: string, value: string): void {
    this.#records.push(record(keyword, Buffer.from(value, "utf8")));
  }

  addBytes(keyword: ByteString, value: Uint8Array): void {
    this.#records.push(record(keyword, value));
  }

  toBytes(): Buffer {
    return Buffer.concat(this.#records);
  }
}

function record(keyword: ByteString, value: Uint8Array): Buffer {
  const fixedBytes = keyword.length + value.length + 3;
  let length = fixedBytes + String(fixedBytes).length;
  if (String(length).length !== String(fixedBytes).length) length = fixedBytes + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${keyword}=`, "latin1"), value, Buffer.from("\n")]);
}

/** Seconds since 1970 as a decimal fraction, all its digits, negative ones too. */
export function toPaxTime({ seconds, nanoseconds }: Timestamp): string {
  if (nanoseconds === 0) return String(seconds);
  if (seconds >= 0) return `${seconds}.${fraction(nanoseconds)}`;
  return `-${-seconds - 1}.${fraction(1_000_000_000 - nanoseconds)}`;
}

function fraction(nanoseconds: number): string {
  return String(nanoseconds).padStart(9, "0").replace(/0+$/, "");
}

/** The keyword of an extended attribute; "=" ends a keyword, so GNU tar escapes it in the name. */
export function xattrKeyword(name: ByteString): ByteString {
  return `SCHILY.xattr.${name.replaceAll("%", "%25").replaceAll("=", "%3D")}`;
}
