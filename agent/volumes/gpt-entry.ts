// A GPT partition entry. Source: UEFI specification 2.10, section 5.3.3, table 5.6.
//
//   Offset | Size | Field         | Meaning
//   0      | 16   | type GUID     | all zero: unused
//   16     | 16   | unique GUID   |
//   32     | 8    | first LBA     |
//   40     | 8    | last LBA      | inclusive
//   48     | 8    | attributes    |
//   56     | 72   | name          | UTF-16LE, ends at the first NUL

export interface GptEntry {
  /** From 1, counting unused entries too: the kernel's partition number. */
  readonly number: number;
  readonly typeGuid: string;
  readonly uniqueGuid: string;
  readonly firstLba: bigint;
  /** Half-open: one past the last sector. */
  readonly endLba: bigint;
  readonly name: string;
}

const NAME_OFFSET = 56;
const NAME_BYTES = 72;

/** The used entries of the array; the caller has checked that `bytes` holds count × size of them. */
export function parseGptEntries(bytes: Uint8Array, entrySizeBytes: number): GptEntry[] {
  const entries: GptEntry[] = [];
  const count = Math.floor(bytes.length / entrySizeBytes);
  for (let index = 0; index < count; index += 1) {
    const entry = bytes.subarray(index * entrySizeBytes, (index + 1) * entrySizeBytes);
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
    const view = new DataView(entry.buffer, entry.byteOffset, entry.length);
    entries.push({
      number: index + 1,
      typeGuid: toGuid(entry.subarray(0, 16)),
      uniqueGuid: toGuid(entry.subarray(16, 32)),
      firstLba: view.getBigUint64(32, true),
      endLba: view.getBigUint64(40, true) + 1n,
      name: toName(entry.subarray(NAME_OFFSET, NAME_OFFSET + NAME_BYTES)),
    });
  }
  return entries;
}

/** The mixed-endian text form, in upper case. */
export function toGuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex").toUpperCase();
  const reversed = (start: number, end: number): string => hex.slice(start, end).match(/../g)!.reverse().join("");
  return [reversed(0, 8), reversed(8, 12), reversed(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

function toName(bytes: Uint8Array): string {
  const name = Buffer.from(bytes).toString("utf16le");
  const end = name.indexOf("\0");
  return (end < 0 ? name : name.slice(0, end)).toWellFormed();
}
