import { crc32 } from "node:zlib";
import { byteStringToBytes, isAscii } from "../../filesystems/byte-string.ts";
import type { Timestamp } from "../../filesystems/filesystem.ts";
import { ByteBatch } from "./byte-batch.ts";
import { fileTypes, type ArchiveEncoder, type ArchiveEntry, type Refusal } from "./encoder.ts";
import { zipName } from "./entry-names.ts";

/*
 * zip, by PKWARE APPNOTE 6.3.10 and Info-ZIP's extra fields (proginfo/extrafld.txt).
 *
 * Local file header
 * | Offset | Size | Field | Meaning |
 * |---|---|---|---|
 * | 0 | 4 | signature | 0x04034b50 |
 * | 4 | 2 | version needed | 20, 45 with zip64 |
 * | 6 | 2 | flags | bit 3: CRC and sizes follow the data; bit 11: name in UTF-8 |
 * | 8 | 2 | method | 0 stored, 8 deflate |
 * | 10 | 4 | time, date | MS-DOS, here UTC; the extended timestamp is the exact one |
 * | 14 | 4 | CRC-32 | 0 with bit 3 |
 * | 18 | 4 | compressed size | 0 with bit 3, 0xffffffff with zip64 |
 * | 22 | 4 | size | likewise |
 * | 26 | 2 | name length | |
 * | 28 | 2 | extra length | |
 *
 * The central directory repeats all of that with the Unix mode and the header's offset (see
 * centralHeader), then come the zip64 end records where needed, and the end record.
 *
 * A file of up to maxStoredBytes is gathered and stored with its CRC in the header. A larger one
 * streams: its CRC is known only afterwards, and "stored, length follows" can't be read from a pipe.
 * So it is deflate in uncompressed blocks (RFC 1951, 3.2.4), which mark their own end and cost 5 bytes
 * per 65,535 and no processor time.
 */
const maxStoredBytes = 256 * 1024;
const deflateBlockBytes = 65_535;
const max32 = 0xffff_ffff;
const max16 = 0xffff;
const maxNameBytes = max16;
const flagSizesFollow = 1 << 3;
const flagUtf8 = 1 << 11;
const versionUnix = 3 << 8;
const hostVersion = 45;

interface OpenEntry {
  readonly name: Buffer;
  readonly isAsciiName: boolean;
  readonly mode: number;
  readonly isFolder: boolean;
  readonly extra: Buffer;
  readonly dosTime: number;
  readonly sizeBytes: number;
  readonly headerOffset: number;
  readonly streams: boolean;
  readonly gathered: Uint8Array[];
  doneBytes: number;
  crc: number;
}

/** Encodes zip64 archives as they stream: only the central directory (about 100 bytes and the name an entry) is held. */
export class ZipEncoder implements ArchiveEncoder {
  readonly nameRule = zipName;
  readonly storesSparse = false;
  readonly storesHardLinks = false;
  readonly #output: ByteBatch;
  /** The central directory so far, in few large pieces. */
  readonly #central = new ByteBatch();
  #count = 0;
  #entry: OpenEntry | undefined;

  constructor(output: ByteBatch) {
    this.#output = output;
  }

  refusal({ name, node }: ArchiveEntry): Refusal | undefined {
    if (node.type === "other") return { code: "unsupported", detail: "zip stores no device nodes, pipes and sockets", isError: false };
    if (name.length + 1 > maxNameBytes) return { code: "unsupported", detail: `its path has ${name.length} bytes; zip holds ${maxNameBytes}`, isError: true };
    if (node.type === "file" && typeof node.size === "bigint") return { code: "unsupported", detail: `its size of ${node.size} bytes is beyond what a zip can be streamed with`, isError: true };
    return undefined;
  }

  begin({ name, node }: ArchiveEntry, dataBytes: number): void {
    const isFolder = node.type === "directory";
    const isLink = node.type === "symlink";
    const target = isLink ? byteStringToBytes(node.symlinkTarget ?? "") : undefined;
    const fullName = isFolder ? `${name}/` : name;
    const sizeBytes = target?.length ?? dataBytes;
    const type = isFolder ? fileTypes.directory : isLink ? fileTypes.symlink : fileTypes.file;
    const entry: OpenEntry = {
      name: byteStringToBytes(fullName),
      isAsciiName: isAscii(fullName),
      mode: type | (node.mode & 0o7777),
      isFolder,
      extra: Buffer.concat([timestampExtra(node.modifiedAt), ownerExtra(node.uid, node.gid)]),
      dosTime: toDosTime(node.modifiedAt.seconds),
      sizeBytes,
      headerOffset: this.#output.totalBytes,
      streams: sizeBytes > maxStoredBytes,
      gathered: [],
      doneBytes: 0,
      crc: 0,
    };
    this.#entry = entry;
    if (entry.streams) this.#output.write(localHeader(entry));
    if (target !== undefined) this.data(target);
  }

  data(bytes: Uint8Array): void {
    const entry = this.#current();
    entry.crc = crc32(bytes, entry.crc);
    if (!entry.streams) {
      entry.gathered.push(bytes);
      entry.doneBytes += bytes.length;
      return;
    }
    for (let start = 0; start < bytes.length; ) {
      const inBlock = entry.doneBytes % deflateBlockBytes;
      if (inBlock === 0) this.#output.write(blockHeader(entry.sizeBytes - entry.doneBytes));
      const end = Math.min(bytes.length, start + deflateBlockBytes - inBlock);
      this.#output.write(bytes.subarray(start, end));
      entry.doneBytes += end - start;
      start = end;
    }
  }

  finishEntry(): void {
    const entry = this.#current();
    if (entry.doneBytes !== entry.sizeBytes) throw new Error(`zip entry got ${entry.doneBytes} bytes, announced ${entry.sizeBytes}`);
    if (entry.streams) {
      this.#output.write(dataDescriptor(entry));
    } else {
      this.#output.write(localHeader(entry));
      for (const bytes of entry.gathered) this.#output.write(bytes);
    }
    this.#central.write(centralHeader(entry));
    this.#count += 1;
    this.#entry = undefined;
  }

  end(): void {
    const offset = this.#output.totalBytes;
    this.#central.flush();
    for (let piece = this.#central.take(); piece !== undefined; piece = this.#central.take()) this.#output.write(piece);
    const length = this.#output.totalBytes - offset;
    const count = this.#count;
    if (count >= max16 || offset >= max32 || length >= max32) this.#output.write(zip64End(count, offset, length));
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(Math.min(count, max16), 8);
    end.writeUInt16LE(Math.min(count, max16), 10);
    end.writeUInt32LE(Math.min(length, max32), 12);
    end.writeUInt32LE(Math.min(offset, max32), 16);
    this.#output.write(end);
  }

  #current(): OpenEntry {
    if (this.#entry === undefined) throw new Error("zip data without an entry");
    return this.#entry;
  }
}

function storedBytes(entry: OpenEntry): number {
  return entry.streams ? entry.sizeBytes + 5 * Math.ceil(entry.sizeBytes / deflateBlockBytes) : entry.sizeBytes;
}

function isBig(entry: OpenEntry): boolean {
  return storedBytes(entry) >= max32;
}

function flags(entry: OpenEntry): number {
  return (entry.streams ? flagSizesFollow : 0) | (entry.isAsciiName ? 0 : flagUtf8);
}

function localHeader(entry: OpenEntry): Buffer {
  const zip64 = isBig(entry) ? zip64Extra([entry.sizeBytes, storedBytes(entry)]) : Buffer.alloc(0);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(isBig(entry) ? 45 : 20, 4);
  header.writeUInt16LE(flags(entry), 6);
  header.writeUInt16LE(entry.streams ? 8 : 0, 8);
  header.writeUInt32LE(entry.dosTime, 10);
  if (!entry.streams) header.writeUInt32LE(entry.crc, 14);
  const size = isBig(entry) ? max32 : entry.streams ? 0 : entry.sizeBytes;
  header.writeUInt32LE(size, 18);
  header.writeUInt32LE(size, 22);
  const attributes = attributesExtra(entry);
  header.writeUInt16LE(entry.name.length, 26);
  header.writeUInt16LE(zip64.length + entry.extra.length + attributes.length, 28);
  return Buffer.concat([header, entry.name, zip64, entry.extra, attributes]);
}

/** | 0: signature | 4: CRC-32 | 8: compressed size | size |, the sizes 8 bytes each with zip64. */
function dataDescriptor(entry: OpenEntry): Buffer {
  const width = isBig(entry) ? 8 : 4;
  const descriptor = Buffer.alloc(8 + 2 * width);
  descriptor.writeUInt32LE(0x08074b50, 0);
  descriptor.writeUInt32LE(entry.crc, 4);
  writeSize(descriptor, storedBytes(entry), 8, width);
  writeSize(descriptor, entry.sizeBytes, 8 + width, width);
  return descriptor;
}

/*
 * Central directory header
 * | Offset | Size | Field | Meaning |
 * |---|---|---|---|
 * | 0 | 4 | signature | 0x02014b50 |
 * | 4 | 2 | made by | 3 (Unix) in the high byte |
 * | 6 | 24 | as in the local header | |
 * | 30 | 2 | extra length | |
 * | 32 | 6 | comment length, disk, internal attributes | 0 |
 * | 38 | 4 | external attributes | st_mode << 16, MS-DOS folder bit |
 * | 42 | 4 | local header's offset | 0xffffffff with zip64 |
 */
function centralHeader(entry: OpenEntry): Buffer {
  const stored = storedBytes(entry);
  const farOffset = entry.headerOffset >= max32;
  const zip64 = isBig(entry) || farOffset
    ? zip64Extra([...(isBig(entry) ? [entry.sizeBytes, stored] : []), ...(farOffset ? [entry.headerOffset] : [])])
    : Buffer.alloc(0);
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(versionUnix | hostVersion, 4);
  header.writeUInt16LE(zip64.length > 0 ? 45 : 20, 6);
  header.writeUInt16LE(flags(entry), 8);
  header.writeUInt16LE(entry.streams ? 8 : 0, 10);
  header.writeUInt32LE(entry.dosTime, 12);
  header.writeUInt32LE(entry.crc, 16);
  header.writeUInt32LE(isBig(entry) ? max32 : stored, 20);
  header.writeUInt32LE(isBig(entry) ? max32 : entry.sizeBytes, 24);
  header.writeUInt16LE(entry.name.length, 28);
  header.writeUInt16LE(zip64.length + entry.extra.length, 30);
  header.writeUInt32LE(externalAttributes(entry), 38);
  header.writeUInt32LE(farOffset ? max32 : entry.headerOffset, 42);
  return Buffer.concat([header, entry.name, zip64, entry.extra]);
}

/** The zip64 end record (56 bytes) and its locator (20 bytes). */
function zip64End(count: number, offset: number, length: number): Buffer {
  const end = Buffer.alloc(76);
  end.writeUInt32LE(0x06064b50, 0);
  end.writeBigUInt64LE(44n, 4);
  end.writeUInt16LE(versionUnix | hostVersion, 12);
  end.writeUInt16LE(45, 14);
  for (const [value, at] of [[count, 24], [count, 32], [length, 40], [offset, 48]] as const) end.writeBigUInt64LE(BigInt(value), at);
  end.writeUInt32LE(0x07064b50, 56);
  end.writeBigUInt64LE(BigInt(offset + length), 64);
  end.writeUInt32LE(1, 72);
  return end;
}

/** Extra field 0x0001: sizes and offsets of 8 bytes, only those that are 0xffffffff in the header. */
function zip64Extra(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(0x0001, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  values.forEach((value, index) => extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index));
  return extra;
}

const maxInt32 = 2 ** 31 - 1;
const secondsFrom1601 = 11_644_473_600n;

/**
 * Extra field 0x5455: the mtime in whole Unix seconds. Before 1970 tools disagree about its sign (Info-ZIP
 * refuses it, libarchive shows 2106), so there and after 2038 it is 0x000a: 100 ns since 1601, 64 bits.
 */
function timestampExtra({ seconds, nanoseconds }: Timestamp): Buffer {
  if (seconds >= 0 && seconds <= maxInt32) {
    const extra = Buffer.alloc(9);
    extra.writeUInt16LE(0x5455, 0);
    extra.writeUInt16LE(5, 2);
    extra.writeUInt8(1, 4);
    extra.writeInt32LE(seconds, 5);
    return extra;
  }
  const ticks = (BigInt(seconds) + secondsFrom1601) * 10_000_000n + BigInt(Math.trunc(nanoseconds / 100));
  if (ticks < 0n || ticks >= 1n << 63n) return Buffer.alloc(0);
  const extra = Buffer.alloc(36);
  extra.writeUInt16LE(0x000a, 0);
  extra.writeUInt16LE(32, 2);
  extra.writeUInt16LE(1, 8);
  extra.writeUInt16LE(24, 10);
  for (const at of [12, 20, 28]) extra.writeBigUInt64LE(ticks, at);
  return extra;
}

/** Extra field 0x7875: owner and group, 4 bytes each. */
function ownerExtra(uid: number, gid: number): Buffer {
  const extra = Buffer.alloc(15);
  extra.writeUInt16LE(0x7875, 0);
  extra.writeUInt16LE(11, 2);
  extra.writeUInt8(1, 4);
  extra.writeUInt8(4, 5);
  extra.writeUInt32LE(uid >>> 0, 6);
  extra.writeUInt8(4, 10);
  extra.writeUInt32LE(gid >>> 0, 11);
  return extra;
}

function externalAttributes(entry: OpenEntry): number {
  return ((entry.mode << 16) | (entry.isFolder ? 0x10 : 0)) >>> 0;
}

/**
 * Extra field 0x6c78 of libarchive, local headers only: "made by" and the external attributes, which
 * otherwise stand in the central directory alone. Whoever unpacks from a pipe knows symlinks by it.
 */
function attributesExtra(entry: OpenEntry): Buffer {
  const extra = Buffer.alloc(11);
  extra.writeUInt16LE(0x6c78, 0);
  extra.writeUInt16LE(7, 2);
  extra.writeUInt8(0b101, 4);
  extra.writeUInt16LE(versionUnix | hostVersion, 5);
  extra.writeUInt32LE(externalAttributes(entry), 7);
  return extra;
}

/** Time in the low, date in the high 16 bits; 1980 to 2107, two seconds fine. */
function toDosTime(seconds: number): number {
  const date = new Date(Math.min(Math.max(seconds, 315_532_800), 4_354_819_198) * 1000);
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  return ((day << 16) | time) >>> 0;
}

/** An uncompressed deflate block: | 0: last block, 1 bit; type 00 | 1: length | 3: its complement |. */
function blockHeader(remainingBytes: number): Buffer {
  const length = Math.min(remainingBytes, deflateBlockBytes);
  const header = Buffer.alloc(5);
  header.writeUInt8(remainingBytes <= deflateBlockBytes ? 1 : 0, 0);
  header.writeUInt16LE(length, 1);
  header.writeUInt16LE(length ^ 0xffff, 3);
  return header;
}

function writeSize(target: Buffer, value: number, at: number, width: 4 | 8): void {
  if (width === 8) target.writeBigUInt64LE(BigInt(value), at);
  else target.writeUInt32LE(value, at);
}

