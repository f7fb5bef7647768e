import { Header, type HeaderData } from "tar/header";
import { byteStringToBytes, isAscii, type ByteString } from "../../filesystems/byte-string.ts";
import type { WalkEntry } from "../../reader/disk-reader.ts";
import type { ByteBatch } from "./byte-batch.ts";
import { fileTypeMask, fileTypes, type ArchiveEncoder, type ArchiveEntry, type Refusal } from "./encoder.ts";
import { tarName } from "./entry-names.ts";
import { PaxRecords, toPaxTime, xattrKeyword } from "./pax.ts";

/*
 * tar in the PAX interchange format: the ustar blocks by node-tar's Header; sparse files as GNU tar's "PAX
 * Format, Version 1.0"; extended attributes as SCHILY.xattr. The PAX records are in pax.ts: node-tar's own
 * hold text and whole milliseconds, and here names and attributes are bytes, times nanoseconds.
 */
const blockBytes = 512;
/** Shorter than the field: from 100 bytes on the library splits a name in two. */
const maxNameBytes = 99;
const maxOctal7 = 8 ** 7 - 1;
const maxOctal11 = 8 ** 11 - 1;
const zeroBlocks = Buffer.alloc(2 * blockBytes);

type EntryType = NonNullable<HeaderData["type"]>;

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
    if (node.type === "other" && typeOf(node) === undefined) return { code: "unsupported", detail: "tar stores no sockets", isError: false };
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
    const type = linkName !== undefined ? "Link" : (typeOf(node) ?? "File");
    this.#output.write(header(node, stand, type, size, target ?? ""));
    if (map !== undefined) this.#output.write(map);
    this.#remaining = linkName === undefined ? dataBytes : 0;
    this.#padding = (blockBytes - (size % blockBytes)) % blockBytes;
  }

  data(bytes: Uint8Array): undefined {
    this.#remaining -= bytes.length;
    if (this.#remaining < 0) throw new Error("tar entry got more bytes than announced");
    this.#output.write(bytes);
  }

  finishEntry(): undefined {
    if (this.#remaining !== 0) throw new Error(`tar entry lacks ${this.#remaining} of its bytes`);
    if (this.#padding > 0) this.#output.write(zeroBlocks.subarray(0, this.#padding));
    this.#padding = 0;
  }

  end(): void {
    this.#output.write(zeroBlocks);
  }

  /** It holds nothing back. */
  destroy(): void {}

  #writePax(records: Buffer, name: ByteString, node: WalkEntry): void {
    this.#output.write(header({ ...node, mode: 0o644 }, `PaxHeaders/${name}`, "ExtendedHeader", records.length, ""));
    this.#output.write(records);
    const padding = (blockBytes - (records.length % blockBytes)) % blockBytes;
    if (padding > 0) this.#output.write(zeroBlocks.subarray(0, padding));
  }
}

type HeaderNode = Pick<WalkEntry, "mode" | "uid" | "gid" | "modifiedAt" | "deviceMajor" | "deviceMinor">;

/** The ustar block. A PAX record carries what does not fit; that is for eyes and for old tools here. */
function header(node: HeaderNode, name: ByteString, type: EntryType, size: number, link: ByteString): Buffer {
  const isDevice = type === "CharacterDevice" || type === "BlockDevice";
  const seconds = Math.min(Math.max(node.modifiedAt.seconds, 0), maxOctal11);
  const block = Buffer.alloc(blockBytes);
  new Header({
    path: standIn(name), mode: node.mode & 0o7777, uid: node.uid, gid: node.gid, size, mtime: new Date(seconds * 1000), type,
    linkpath: standIn(link), devmaj: isDevice ? node.deviceMajor : 0, devmin: isDevice ? node.deviceMinor : 0,
  }).encode(block);
  return block;
}

function fits(name: ByteString): boolean {
  return name.length <= maxNameBytes && isAscii(name);
}

function standIn(name: ByteString): ByteString {
  return fits(name) ? name : name.replace(/[^\x20-\x7e]/g, "_").slice(0, maxNameBytes);
}

function typeOf(node: WalkEntry): EntryType | undefined {
  if (node.type === "file") return "File";
  if (node.type === "symlink") return "SymbolicLink";
  if (node.type === "directory") return "Directory";
  const type = node.mode & fileTypeMask;
  return type === fileTypes.characterDevice ? "CharacterDevice" : type === fileTypes.blockDevice ? "BlockDevice" : type === fileTypes.fifo ? "FIFO" : undefined;
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
