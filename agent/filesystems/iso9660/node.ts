import { corrupt, DiskError, unsupported } from "../../blocks/disk-error.ts";
import type { NodeType, Timestamp } from "../filesystem.ts";
import type { DirectoryRecord } from "./directory-record.ts";
import type { RockRidge, ZisofsFile } from "./rock-ridge.ts";

/** A run of a file's bytes as stored; in bytes of the volume. */
export interface Section {
  readonly offset: number;
  readonly length: number;
}

/** What a record, with its Rock Ridge entries, says of a file that is no directory. */
export interface FileNode {
  readonly kind: "file";
  /** Where its first record lies, in bytes: unique. Linux numbers inodes by it, one for each hard link. */
  readonly id: number;
  readonly type: NodeType;
  readonly mode: number;
  readonly record: DirectoryRecord;
  readonly rock: RockRidge | undefined;
  readonly sizeBytes: number;
  readonly sections: readonly Section[];
  readonly zisofs: ZisofsFile | undefined;
  readonly contentError: DiskError | undefined;
}

/** A directory describes itself in its own first record, ".": read when it is asked for. */
export interface DirectoryNode {
  readonly kind: "directory";
  /** Where that record lies, in bytes. */
  readonly id: number;
}

/** Stands for what could not be read. */
export interface DamagedNode {
  readonly kind: "damaged";
  readonly error: DiskError;
}

export type IsoNode = FileNode | DirectoryNode | DamagedNode;

export const MODE_TYPE = 0o170000;
export const MODE_DIRECTORY = 0o040000;
const MODE_REGULAR = 0o100000;
const MODE_SYMLINK = 0o120000;
/** Other types of st_mode: FIFO, character device, block device, socket. */
const specialModes: ReadonlySet<number> = new Set([0o010000, 0o020000, 0o060000, 0o140000]);

/** Without Rock Ridge Linux lets everybody read and execute everything. */
export const DEFAULT_PERMISSIONS = 0o555;

/**
 * @param records of one file, in order: all but the last say that another follows
 * @param rock what the last one's system use area says; undefined without Rock Ridge
 */
export function toFileNode(records: readonly DirectoryRecord[], rock: RockRidge | undefined, blockBytes: number): FileNode | DamagedNode {
  const record = records[0]!;
  const mode = rock?.mode ?? MODE_REGULAR | DEFAULT_PERMISSIONS;
  const format = mode & MODE_TYPE;
  if (format === MODE_DIRECTORY) {
    return { kind: "damaged", error: corrupt("ISO 9660 directory record", record.offsetBytes, "Rock Ridge calls it a directory, its flags don't") };
  }
  const type = format === MODE_REGULAR ? "file" : format === MODE_SYMLINK ? "symlink" : "other";
  const sections = records.map((part) => ({ offset: part.firstBlock * blockBytes, length: part.sizeBytes }));
  const storedBytes = sections.reduce((sum, section) => sum + section.length, 0);
  const zisofs = type === "file" ? rock?.zisofs : undefined;
  return {
    kind: "file",
    id: record.offsetBytes,
    type,
    mode,
    record,
    rock,
    sizeBytes: type === "symlink" ? (rock?.target?.length ?? storedBytes) : (zisofs?.sizeBytes ?? storedBytes),
    sections,
    zisofs,
    contentError: contentError(records, rock, format, blockBytes),
  };
}

function contentError(records: readonly DirectoryRecord[], rock: RockRidge | undefined, format: number, blockBytes: number): DiskError | undefined {
  const { offsetBytes } = records[0]!;
  if (records.some((part) => part.isInterleaved)) return unsupported(`ISO 9660 interleaved file, record at byte ${offsetBytes}`);
  if (rock?.isSparse === true) return unsupported(`Rock Ridge sparse file (SF), record at byte ${offsetBytes}`);
  if (format !== MODE_REGULAR && format !== MODE_SYMLINK && !specialModes.has(format)) {
    return corrupt("Rock Ridge entry PX", offsetBytes, `mode 0${(rock?.mode ?? 0).toString(8)}, which has no known type`);
  }
  const partial = records.slice(0, -1).find((part) => part.sizeBytes % blockBytes !== 0);
  if (partial === undefined) return undefined;
  return corrupt("ISO 9660 directory record", partial.offsetBytes, `a section of ${partial.sizeBytes} bytes, not whole blocks, though another follows`);
}

/** The times that Linux shows: Rock Ridge's where it gives them, else the record's. */
export function timesOf(record: DirectoryRecord, rock: RockRidge | undefined): { modified: Timestamp; accessed: Timestamp; changed: Timestamp; created: Timestamp | undefined } {
  return {
    modified: rock?.modifiedAt ?? record.date,
    accessed: rock?.accessedAt ?? record.date,
    // Some writers put ctime into the field for the creation.
    changed: rock?.changedAt ?? rock?.createdAt ?? record.date,
    created: rock?.createdAt,
  };
}
