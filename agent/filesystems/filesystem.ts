import type { BlockSource, MaybePromise } from "../blocks/block-source.ts";
import type { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "./byte-string.ts";
import type { FileSystemMember } from "./spanning.ts";

export type NodeType = "file" | "directory" | "symlink" | "other";

/** What a filesystem says of itself. */
export interface FileSystemFacts {
  /** The kernel's name for it: "ext2", "ext3", "ext4", "vfat", "xfs" … */
  readonly type: string;
  /** As text; undefined when the volume has none. */
  readonly label: string | undefined;
  /** As blkid prints it. */
  readonly uuid: string | undefined;
  readonly sizeBytes: number;
  readonly usedBytes: number | undefined;
  readonly blockSizeBytes: number;
  /** "recovered": its journal held changes, replayed in memory; "dirty": it was not unmounted and has no journal to replay. */
  readonly state: "clean" | "recovered" | "dirty";
  /** What is not as it should be although all can be read: a device of a mirror is missing. */
  readonly remark?: DiskError;
}

/** Seconds since 1970-01-01 UTC (may be negative), nanoseconds 0 to 999,999,999, and how many decimals the disk stores (0 to 9). */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly digits: number;
}

/** One name in a directory. `.` and `..` are never given. */
export interface DirectoryEntry<Node> {
  readonly name: ByteString;
  readonly node: Node;
  /** Undefined where the directory doesn't store it; `stat` knows. */
  readonly type: NodeType | undefined;
  /** Set when this entry itself is damaged or unreadable (bad name, encrypted name); it is listed all the same. */
  readonly error?: DiskError;
}

/** What a listing or an archive needs of each entry; flat, for 100,000 of them. */
export interface Attributes {
  readonly type: NodeType;
  /** Equal for two names of one file (hard links), different otherwise: the inode number where there is one. */
  readonly id: number | string;
  /** Exact: a number up to 2^53 − 1, a bigint beyond. */
  readonly size: number | bigint;
  /** st_mode with its file-type bits, as Linux shows it. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly linkCount: number;
  /** Major and minor of a device node, else 0. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Decimals of a second the disk stores for mtime: 0 to 9. */
  readonly mtimeDigits: number;
  /** Why its contents can't be read although its attributes can: encrypted, an unknown flag. */
  readonly contentError?: DiskError;
}

/** What the details of one entry show beyond its attributes. */
export interface Details {
  readonly accessedAt: Timestamp | undefined;
  readonly changedAt: Timestamp | undefined;
  readonly createdAt: Timestamp | undefined;
  /** Names as Linux shows them ("user.comment", "system.posix_acl_access"); values as getxattr returns them. */
  readonly xattrs: ReadonlyMap<ByteString, Uint8Array>;
  /** Set when some extended attributes could not be read. */
  readonly xattrError?: DiskError;
}

/** A run of a file's contents; `offset` and `length` in bytes of the file. */
export type FileExtent =
  /** `length` bytes of `source` from `sourceOffset` on. */
  | { readonly kind: "data"; readonly offset: number; readonly length: number; readonly source: BlockSource; readonly sourceOffset: number }
  /** Zeros: never written, or allocated but unwritten. */
  | { readonly kind: "hole"; readonly offset: number; readonly length: number }
  /** Contents held in metadata. */
  | { readonly kind: "inline"; readonly offset: number; readonly length: number; readonly bytes: Uint8Array }
  /** Contents that must be computed (decompressed, decrypted, verified); bounded in length by the format. */
  | { readonly kind: "decoded"; readonly offset: number; readonly length: number; read(signal?: AbortSignal): Promise<Uint8Array> };

/**
 * One opened filesystem, read-only. `Node` is the reader's own handle of a file (an inode number, a
 * directory record): opaque to everybody else, valid as long as the filesystem is open.
 *
 * Errors are DiskErrors: "corrupt", "unsupported", "io_error". Asking a file for its entries or a
 * directory for its link target is the caller's mistake and may throw anything.
 */
export interface FileSystem<Node = unknown> {
  readonly facts: FileSystemFacts;
  readonly root: Node;

  /**
   * The entries of a directory in on-disk order, in batches of any size: one await a batch, none an
   * entry. A damaged block or entry is yielded as an entry with `error` (its name may be made up of
   * what is known) and reading goes on where it can; throws only when nothing more can be read.
   */
  readDirectory(directory: Node): AsyncIterable<readonly DirectoryEntry<Node>[]>;

  /** One name, by the filesystem's own rules of equality; undefined when there is none. */
  lookup(directory: Node, name: ByteString): Promise<DirectoryEntry<Node> | undefined>;

  /**
   * Attributes of many nodes at once, in the order asked; where one can't be read, its DiskError
   * stands in its place. Reads what it needs in few large requests.
   */
  stat(nodes: readonly Node[]): Promise<(Attributes | DiskError)[]>;

  details(node: Node): Promise<Details>;

  /** The target of a symlink. */
  readLink(node: Node): Promise<ByteString>;

  /**
   * The extents of a regular file that cover `offset` and what follows, in order and without gaps, up
   * to `length` bytes or the end of the file; at least one byte, but it may stop early: ask again from
   * there. Adjacent blocks come as one extent. Returned at once when the metadata is cached.
   * @param offset in [0, size)
   */
  extents(node: Node, offset: number, length: number): MaybePromise<FileExtent[]>;
}

/** How a filesystem is recognised and opened. */
export interface FileSystemDriver {
  /** Short name for messages: "ext4", "fat". */
  readonly name: string;
  /** True when the source carries this format's magic; reads little and never throws for strange bytes. */
  probe(source: BlockSource): Promise<boolean>;
  /** Opens it, replaying a journal in memory. Throws "corrupt" or "unsupported" with the reason. */
  open(source: BlockSource): Promise<FileSystem>;
  /** Set where a filesystem may lie on several devices: what this one says of itself. Throws when it can't be read. */
  readMember?(source: BlockSource): Promise<FileSystemMember>;
  /** Opens a filesystem over its devices, of which some may be missing. Throws MissingMember when too many are. */
  openMembers?(sources: readonly BlockSource[]): Promise<FileSystem>;
}
