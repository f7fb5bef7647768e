import { crc32 } from "node:zlib";

/** Bytes of partition tables, built field by field from the specifications: the tests' own second opinion. */

export interface MbrPart {
  slot: number;
  type: number;
  start: number;
  count: number;
  flag?: number;
}

/** Writes a boot record with its 55 AA at a byte offset of the disk. */
export function writeMbr(disk: Buffer, parts: readonly MbrPart[], { offset = 0, signature = 0 } = {}): void {
  disk.writeUInt32LE(signature, offset + 440);
  for (const part of parts) {
    const at = offset + 446 + part.slot * 16;
    disk[at] = part.flag ?? 0;
    disk[at + 4] = part.type;
    disk.writeUInt32LE(part.start, at + 8);
    disk.writeUInt32LE(part.count, at + 12);
  }
  disk[offset + 510] = 0x55;
  disk[offset + 511] = 0xaa;
}

export interface GptPart {
  /** Index of the entry, from 0. */
  index: number;
  first: number;
  /** Inclusive, as on disk. */
  last: number;
  name?: string;
}

export interface GptOptions {
  sectorBytes?: number;
  entrySizeBytes?: number;
  entryCount?: number;
  /** LBA of the primary's entries. */
  entriesLba?: number;
  protective?: boolean;
  backupLba?: number;
}

/** Linux filesystem data, as its bytes stand on disk. */
export const linuxDataType = Buffer.from("af3dc60f838472478e793d69d8477de4", "hex");

/** Writes a whole GPT: protective MBR, primary table, backup table. */
export function writeGpt(disk: Buffer, parts: readonly GptPart[], options: GptOptions = {}): void {
  const { sectorBytes = 512, entrySizeBytes = 128, entryCount = 128, entriesLba = 2, protective = true } = options;
  const lastLba = Math.floor(disk.length / sectorBytes) - 1;
  const backupLba = options.backupLba ?? lastLba;
  const entries = Buffer.alloc(entryCount * entrySizeBytes);
  for (const part of parts) {
    const at = part.index * entrySizeBytes;
    linuxDataType.copy(entries, at);
    entries.fill(part.index + 1, at + 16, at + 32);
    entries.writeBigUInt64LE(BigInt(part.first), at + 32);
    entries.writeBigUInt64LE(BigInt(part.last), at + 40);
    entries.write(part.name ?? "", at + 56, 72, "utf16le");
  }
  const arraySectors = Math.ceil(entries.length / sectorBytes);
  const backupEntriesLba = backupLba - arraySectors;
  entries.copy(disk, entriesLba * sectorBytes);
  entries.copy(disk, backupEntriesLba * sectorBytes);
  const common = { sectorBytes, entrySizeBytes, entryCount, entriesCrc: crc32(entries), firstUsable: entriesLba + arraySectors, lastUsable: backupEntriesLba - 1 };
  writeHeader(disk, { ...common, lba: 1, alternate: backupLba, entriesLba });
  writeHeader(disk, { ...common, lba: backupLba, alternate: 1, entriesLba: backupEntriesLba });
  if (protective) writeMbr(disk, [{ slot: 0, type: 0xee, start: 1, count: lastLba }]);
}

interface HeaderFields {
  sectorBytes: number;
  entrySizeBytes: number;
  entryCount: number;
  entriesCrc: number;
  firstUsable: number;
  lastUsable: number;
  lba: number;
  alternate: number;
  entriesLba: number;
}

function writeHeader(disk: Buffer, fields: HeaderFields): void {
  const header = Buffer.alloc(92);
  header.write("EFI PART", 0, "latin1");
  header.writeUInt32LE(0x00010000, 8);
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(BigInt(fields.lba), 24);
  header.writeBigUInt64LE(BigInt(fields.alternate), 32);
  header.writeBigUInt64LE(BigInt(fields.firstUsable), 40);
  header.writeBigUInt64LE(BigInt(fields.lastUsable), 48);
  header.fill(0x11, 56, 72);
  header.writeBigUInt64LE(BigInt(fields.entriesLba), 72);
  header.writeUInt32LE(fields.entryCount, 80);
  header.writeUInt32LE(fields.entrySizeBytes, 84);
  header.writeUInt32LE(fields.entriesCrc, 88);
  header.writeUInt32LE(crc32(header), 16);
  header.copy(disk, fields.lba * fields.sectorBytes);
}
