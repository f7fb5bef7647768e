import type { ByteString } from "../filesystems/byte-string.ts";
import type { NodeType, Timestamp } from "../filesystems/filesystem.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { GuestTree } from "./guest-volumes.ts";

/**
 * What the rest of the agent asks of one open disk. The reader in the worker thread implements it
 * over a BlockSource; the handle in the main thread implements it by messages to that worker. All
 * that crosses is plain data, so both sides share these types.
 *
 * Errors are PluckErrors: path_not_found, not_a_directory, not_a_file, forbidden (a symlink led out
 * of what the link grants), unsupported, corrupt, io_error, mount_not_found (the disk was closed).
 */
export interface DiskReader {
  readonly sizeBytes: number;
  /** As they are now: unlocking one changes them. */
  readonly volumes: readonly VolumeSummary[];

  /**
   * Opens an encrypted volume. What is in it takes its place in `volumes`; logical volumes inside it are added.
   * Nothing happens when it is unlocked already. Takes seconds, on purpose of whoever encrypted it.
   * @throws PluckError wrong_key, path_not_found (no such volume), invalid_request (it isn't encrypted)
   */
  unlock(request: UnlockRequest): Promise<void>;

  /** One page of a folder, directories first, then by name (bytes). "/" lists the volumes, then the guests' own trees. */
  list(request: ListRequest): Promise<ListPage>;

  /** The same page with its entries as the REST API shows them: written by the reader, so that 10,000 entries cross as one buffer. */
  listJson(request: ListRequest): Promise<JsonPage>;

  /** One entry itself: a symlink is not followed. */
  info(request: PathRequest): Promise<NodeInfo>;

  /** What a download would send: the last symlink is followed, inside the guest's volume. */
  resolve(request: PathRequest): Promise<ResolvedNode>;

  /**
   * `length` bytes of a regular file from `offset` on, in chunks of up to 1 MiB that the receiver owns.
   * Reads ahead a few large requests, waits when nobody takes the chunks, ends its reads when
   * cancelled. Errors the stream when a byte can't be read: never short, never zeros in its place.
   */
  read(request: PathRequest & { readonly offset: number; readonly length: number }): ReadableStream<Uint8Array>;

  /**
   * Gives the buffer of a chunk of `read` back for later reads: it is detached at once, so the caller must be done with
   * it, down to the system. Chunks that are not given back are collected as garbage.
   */
  recycle?(chunk: Uint8Array): void;

  /**
   * A folder and all below it, depth first, in listing order, for an archive. Starts with the folder
   * itself (its `path` is []). Symlinks are given, not followed; other volumes are not entered, except
   * from "/", where each readable volume is a folder.
   */
  walk(request: PathRequest): AsyncIterable<WalkItem>;

  /**
   * Finds many entries, each itself (a symlink is not followed), for an archive of them: in the order of
   * a walk, and none twice, nor one that lies below another.
   * @param items segments as written, from parseGuestPath
   * @throws PluckError path_not_found for the first that is not there
   */
  select(items: readonly (readonly string[])[]): Promise<readonly SelectedNode[]>;

  /**
   * The selected entries, each with all below it: like `walk`, but every `path` (and `hardLinkOf`) is
   * from the mount's root. A hard link of what was given before is one, also across items.
   * @param paths from `select`
   */
  walkSelection(paths: readonly (readonly ByteString[])[]): AsyncIterable<WalkItem>;
}

/** An entry that was selected. */
export interface SelectedNode {
  /** Names from the mount's root; no symlink among the folders. */
  readonly path: readonly ByteString[];
  readonly type: NodeType;
  /** Why it can't be read, where that is known beforehand. */
  readonly error?: VolumeError;
}

export interface UnlockRequest {
  /** A volume's name: "p3". */
  readonly volume: string;
  /** The passphrase as UTF-8, or the contents of a keyfile. */
  readonly secret: Uint8Array;
}

export interface PathRequest {
  /** As written, from parseGuestPath: see nameCandidates in shared/guest-path.ts. */
  readonly segments: readonly string[];
  /** The first so many segments are what the link grants: after following symlinks the path must still lie below them. */
  readonly withinDepth: number;
  /** In `resolve` and `read` only: the path is a volume, and means its bytes as the disk holds them. */
  readonly raw?: boolean;
}

export interface ListRequest extends PathRequest {
  readonly recursive: boolean;
  /** Entries a page, 1 to maxListingLimit. */
  readonly limit: number;
  /** Opaque, from the page before; holds all that is needed, so that it outlives a restart. */
  readonly cursor?: string;
}

export interface NodeError {
  readonly code: "corrupt" | "unsupported" | "io_error";
  readonly detail: string;
}

/** Why a volume can't be read: that it waits for a key is no error of the disk's. */
export interface VolumeError {
  readonly code: NodeError["code"] | "volume_locked";
  readonly detail: string;
}

/** An entry of a listing. Where attributes can't be read they are undefined and `error` says why. */
export interface ListedNode {
  /** Names from the mount's root: ["p2", "etc", "hosts"], byte strings. */
  readonly path: readonly ByteString[];
  readonly type: NodeType;
  readonly size?: number | bigint;
  /** st_mode with type bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly modifiedAt?: Timestamp;
  readonly symlinkTarget?: ByteString;
  /** Of a regular file: only where it has other names too. */
  readonly linkCount?: number;
  readonly error?: VolumeError;
}

export interface ListPage {
  /** The folder's own path after symlinks. */
  readonly path: readonly ByteString[];
  readonly nodes: readonly ListedNode[];
  readonly next?: string;
}

export interface JsonPage {
  /** The folder's own path after symlinks. */
  readonly path: readonly ByteString[];
  /** UTF-8 of a JSON array of entries (entrySchema in shared/api.ts), nothing else in its buffer. */
  readonly entries: Uint8Array;
  readonly next?: string;
}

export interface NodeInfo extends ListedNode {
  readonly linkCount?: number;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  readonly accessedAt?: Timestamp;
  readonly changedAt?: Timestamp;
  readonly createdAt?: Timestamp;
  readonly xattrs: readonly (readonly [ByteString, Uint8Array])[];
  /** Of the guest's own tree: which volumes it is made of. */
  readonly guest?: GuestTree;
}

export interface ResolvedNode {
  readonly path: readonly ByteString[];
  readonly type: "file" | "directory";
  /** 0 for a directory. Beyond 2^53 − 1 a download is refused as unsupported. */
  readonly size: number;
  readonly modifiedAt?: Timestamp;
  /** Strong validator of the bytes: made of the disk, the volume, the file's id, size and times. */
  readonly etag: string;
}

export type WalkItem =
  | WalkEntry
  /**
   * The next bytes of the last entry, in order. Together `dataLength` bytes. Nobody writes to them any
   * more, but they may share their ArrayBuffer with other items: don't transfer it.
   */
  | { readonly kind: "data"; readonly bytes: Uint8Array };

export interface WalkEntry {
  readonly kind: "entry";
  /** Names below the walked folder; [] is the folder itself. */
  readonly path: readonly ByteString[];
  readonly type: NodeType;
  readonly size: number | bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedAt: Timestamp;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly symlinkTarget?: ByteString;
  /** Set when this name is a further hard link of a file already given: no data follows. */
  readonly hardLinkOf?: readonly ByteString[];
  readonly xattrs: readonly (readonly [ByteString, Uint8Array])[];
  /** Bytes of data items that follow: the size, or for a sparse file the sum of `dataRanges`. */
  readonly dataLength: number;
  /** Set for a file with holes: only these ranges are sent, in order; the rest is zeros. */
  readonly dataRanges?: readonly { readonly offset: number; readonly length: number }[];
  /** It can't be read (found before any of its bytes was sent): no data follows. */
  readonly error?: VolumeError;
  /** Some of its extended attributes can't be read; its data is whole and follows all the same. */
  readonly xattrError?: NodeError;
}
