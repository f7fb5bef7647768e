import { byteStringToBytes, isAscii, type ByteString } from "../../filesystems/byte-string.ts";
import type { WalkEntry } from "../../reader/disk-reader.ts";
import type { ByteBatch } from "./byte-batch.ts";
import { fileTypeMask, fileTypes, type ArchiveEncoder, type ArchiveEntry, type Refusal } from "./encoder.ts";
import { tarName } from "./entry-names.ts";
import { PaxRecords, toPaxTime, xattrKeyword } from "./pax.ts";

/*
 * tar in the PAX interchange format, by POSIX.1-2017 pax "ustar Interchange Format"; sparse files as
 * GNU tar's "PAX Format, Version 1.0"; extended attributes as SCHILY.xattr.
 *
 * ustar header, 512 bytes
 * | Offset | Size | Field | Meaning |
 * |---|---|---|---|
 * | 0 | 100 | name | where it is longer or not ASCII: the PAX record "path" |
 * | 100 | 8 | mode | octal, as all numbers; ends with NUL |
 * | 108 | 8 | uid | beyond 7 digits: "uid" |
 * | 116 | 8 | gid | beyond 7 digits: "gid" |
 * | 124 | 12 | size | beyond 11 digits: "size" |
 * | 136 | 12 | mtime | before 1970, beyond 11 digits or finer than a second: "mtime" |
 * | 148 | 8 | checksum | sum of all bytes with this field as spaces |
 * | 156 | 1 | type | 0 file, 1 hard link, 2 symlink, 3 character, 4 block, 5 folder, 6 pipe, x PAX records |
 * | 157 | 100 | link name | where it is longer or not ASCII: "linkpath" |
 * | 257 | 8 | magic, version | "ustar", NUL, "00" |
 * | 329 | 8 | device major | |
 * | 337 | 8 | device minor | |
 */
const blockBytes = 512;
const maxNameBytes = 100;
const maxOctal7 = 8 ** 7 - 1;
const maxOctal11 = 8 ** 11 - 1;
const zeroBlocks = Buffer.alloc(2 * blockBytes);

export class TarEncoder implements ArchiveEncoder {
  readonly nameRule = tarName;
  readonly storesSparse = true;
  readonly storesHardLinks = true;
  readonly #output: ByteBatch;
  #remaining = 0;
  #padding = 0;

  constructor(output: ByteBatch) {
    this.#output = output;
  }

  refusal({ node }: ArchiveEntry): Refusal | undefined {
    if (node.type === "other" && typeFlag(node) === undefined) return { code: "unsupported", detail: "tar stores no sockets", isError: false };
    if (node.type === "file" && typeof node.size === "bigint" && node.dataRanges === undefined) {
      return { code: "unsupported", detail: `its size of ${node.size} bytes is beyond what can be sent`, isError: true };
    }
    return undefined;
  }

  begin({ name, node, linkName }: ArchiveEntry, dataBytes: number): void {
    const map = linkName === undefined && node.dataRanges !== undefined ? sparseMap(node) : undefined;
    const size = linkName === undefined ? dataBytes + (map?.length ?? 0) : 0;
    const records = new PaxRecords();
    const fullName = node.type === "directory" ? `${name}/` : name;
    const target = linkName ?? node.symlinkTarget;
    if (map === undefined) {
      if (!fits(fullName)) records.addName("path", fullName);
    } else {
      records.addName("GNU.sparse.name", fullName);
      records.addText("GNU.sparse.major", "1");
      records.addText("GNU.sparse.minor", "0");
      records.addText("GNU.sparse.realsize", String(node.size));
    }
    if (target !== undefined && !fits(target)) records.addName("linkpath", target);
    if (size > maxOctal11) records.addText("size", String(size));
    if (node.uid > maxOctal7) records.addText("uid", String(node.uid));
    if (node.gid > maxOctal7) records.addText("gid", String(node.gid));
    const { seconds, nanoseconds } = node.modifiedAt;
    if (nanoseconds !== 0 || seconds < 0 || seconds > maxOctal11) records.addText("mtime", toPaxTime(node.modifiedAt));
    if (linkName === undefined) for (const [key, value] of node.xattrs) records.addBytes(xattrKeyword(key), value);

    const stand = map === undefined ? fullName : `GNUSparseFile.0/${fullName}`;
    if (!records.isEmpty) this.#writePax(records.toBytes(), fullName, node);
    const flag = linkName !== undefined ? "1" : (typeFlag(node) ?? "0");
    this.#output.write(header(node, stand, flag, size, target ?? ""));
    if (map !== undefined) this.#output.write(map);
    this.#remaining = linkName === undefined ? dataBytes : 0;
    this.#padding = (blockBytes - (size % blockBytes)) % blockBytes;
  }

  data(bytes: Uint8Array): void {
    this.#remaining -= bytes.length;
    if (this.#remaining < 0) throw new Error("tar entry got more bytes than announced");
    this.#output.write(bytes);
  }

  finishEntry(): void {
    if (this.#remaining !== 0) throw new Error(`tar entry lacks ${this.#remaining} of its bytes`);
    if (this.#padding > 0) this.#output.write(zeroBlocks.subarray(0, this.#padding));
    this.#padding = 0;
  }

  end(): void {
    this.#output.write(zeroBlocks);
  }

  #writePax(records: Buffer, name: ByteString, node: WalkEntry): void {
    this.#output.write(header({ ...node, mode: 0o644 }, `PaxHeaders/${name}`, "x", records.length, ""));
    this.#output.write(records);
    const padding = (blockBytes - (records.length % blockBytes)) % blockBytes;
    if (padding > 0) this.#output.write(zeroBlocks.subarray(0, padding));
  }
}

function header(node: Pick<WalkEntry, "mode" | "uid" | "gid" | "modifiedAt" | "deviceMajor" | "deviceMinor">, name: ByteString, flag: string, size: number, link: ByteString): Buffer {
  const block = Buffer.alloc(blockBytes);
  // A PAX record carries what does not fit; this is for eyes and for old tools.
  block.write(standIn(name), 0, maxNameBytes, "latin1");
  writeOctal(block, 100, 8, node.mode & 0o7777);
  writeOctal(block, 108, 8, node.uid);
  writeOctal(block, 116, 8, node.gid);
  writeOctal(block, 124, 12, size);
  writeOctal(block, 136, 12, node.modifiedAt.seconds);
  block.write(flag, 156, "latin1");
  block.write(standIn(link), 157, maxNameBytes, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  const isDevice = flag === "3" || flag === "4";
  writeOctal(block, 329, 8, isDevice ? node.deviceMajor : 0);
  writeOctal(block, 337, 8, isDevice ? node.deviceMinor : 0);
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let index = 0; index < blockBytes; index++) sum += block[index] ?? 0;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** Numbers that don't fit stand as the nearest that does; a PAX record has the exact one. */
function writeOctal(block: Buffer, at: number, width: number, value: number): void {
  const digits = width - 1;
  const fitting = Math.min(Math.max(value, 0), 8 ** digits - 1);
  block.write(fitting.toString(8).padStart(digits, "0"), at, "latin1");
}

function fits(name: ByteString): boolean {
  return name.length <= maxNameBytes && isAscii(name);
}

function standIn(name: ByteString): ByteString {
  return fits(name) ? name : name.replace(/[^\x20-\x7e]/g, "_").slice(0, maxNameBytes);
}

function typeFlag(node: WalkEntry): string | undefined {
  if (node.type === "file") return "0";
  if (node.type === "symlink") return "2";
  if (node.type === "directory") return "5";
  const type = node.mode & fileTypeMask;
  return type === fileTypes.characterDevice ? "3" : type === fileTypes.blockDevice ? "4" : type === fileTypes.fifo ? "6" : undefined;
}

/** The map that precedes a sparse file's data: decimal lines (count, then offset and length of each), in whole blocks. */
function sparseMap(node: WalkEntry): Buffer {
  const ranges = (node.dataRanges ?? []).map(({ offset, length }) => `${offset}\n${length}\n`);
  const last = node.dataRanges?.at(-1);
  // An empty range at the end tells the length of a file that ends in a hole.
  if (last === undefined || BigInt(last.offset) + BigInt(last.length) < BigInt(node.size)) ranges.push(`${node.size}\n0\n`);
  const map = byteStringToBytes(`${ranges.length}\n${ranges.join("")}`);
  return Buffer.concat([map, zeroBlocks.subarray(0, (blockBytes - (map.length % blockBytes)) % blockBytes)]);
}
