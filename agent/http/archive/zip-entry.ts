import { ZipArchiveEntry } from "compress-commons";
import { byteStringToText } from "../../filesystems/byte-string.ts";
import type { WalkEntry } from "../../reader/disk-reader.ts";
import { fileTypes, type ArchiveEntry } from "./encoder.ts";

const maxInt32 = 2 ** 31 - 1;
/** The times a Date can hold, in seconds on both sides of 1970. */
const maxDateSeconds = 8.64e12;
/** Stored as it is. */
export const methodStored = 0;
/** Deflate. */
export const methodDeflated = 8;

/** An entry of a disk as the library takes it, with the extra fields that the library writes none of. */
export class DiskZipEntry extends ZipArchiveEntry {
  readonly #modifiedSeconds: number;

  constructor({ name, node }: ArchiveEntry) {
    super();
    this.setName(byteStringToText(node.type === "directory" ? `${name}/` : name));
    this.#modifiedSeconds = node.modifiedAt.seconds;
    // Before 1980 and after 2043 the library writes the nearest that it can.
    this.setTime(new Date(Math.min(Math.max(this.#modifiedSeconds, -maxDateSeconds), maxDateSeconds) * 1000));
    this.setUnixMode(unixMode(node));
  }

  /** As it is: made safe before, and what the library's own cleaning would cut off ("a:", say) are parts of names. */
  override setName(name: string): void {
    this.name = name;
    this.getGeneralPurposeBit().useUTF8ForNames(Buffer.byteLength(name) !== name.length);
  }

  override getLocalFileDataExtra(): Buffer {
    return Buffer.concat([super.getLocalFileDataExtra(), timestampExtra(this.#modifiedSeconds), attributesExtra(this.getExternalAttributes())]);
  }

  override getCentralDirectoryExtra(): Buffer {
    return Buffer.concat([super.getCentralDirectoryExtra(), timestampExtra(this.#modifiedSeconds)]);
  }
}

function unixMode({ type, mode }: WalkEntry): number {
  return (type === "directory" ? fileTypes.directory : type === "symlink" ? fileTypes.symlink : fileTypes.file) | (mode & 0o7777);
}

/**
 * Extra field 0x5455 of Info-ZIP (proginfo/extrafld.txt): the mtime in Unix seconds, in UTC where the
 * MS-DOS time has no zone and counts in twos. None outside 1970 to 2038, where tools disagree about its sign.
 * | Offset | Size | Field | Meaning |
 * |---|---|---|---|
 * | 0 | 2 | tag | 0x5455 |
 * | 2 | 2 | length | 5 |
 * | 4 | 1 | flags | 1: mtime only |
 * | 5 | 4 | mtime | |
 */
function timestampExtra(seconds: number): Buffer {
  if (seconds < 0 || seconds > maxInt32) return Buffer.alloc(0);
  const extra = Buffer.from([0x55, 0x54, 5, 0, 1, 0, 0, 0, 0]);
  extra.writeInt32LE(seconds, 5);
  return extra;
}

/**
 * Extra field 0x6c78 of libarchive, local headers only: the external attributes, which otherwise stand in
 * the central directory alone. Whoever unpacks from a pipe knows symlinks by it.
 * | Offset | Size | Field | Meaning |
 * |---|---|---|---|
 * | 0 | 2 | tag | 0x6c78 |
 * | 2 | 2 | length | 7 |
 * | 4 | 1 | flags | 1: "made by" follows; 4: external attributes follow |
 * | 5 | 2 | made by | 3 (Unix) in the high byte |
 * | 7 | 4 | external attributes | st_mode << 16 |
 */
function attributesExtra(externalAttributes: number): Buffer {
  const extra = Buffer.from([0x78, 0x6c, 7, 0, 0b101, 45, 3, 0, 0, 0, 0]);
  extra.writeUInt32LE(externalAttributes >>> 0, 7);
  return extra;
}
