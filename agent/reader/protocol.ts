import type { ErrorBody } from "../../shared/errors.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { ListRequest, NodeError, PathRequest, UnlockRequest } from "./disk-reader.ts";
import type { PackedGroup } from "./pack-walk.ts";

/**
 * What the main thread and a reader's worker say to each other. One worker serves one disk.
 *
 * Every request carries an id of its own. A call is answered once, by a result or an error. A stream
 * is a row of chunks, ended by `end` or an error; the worker sends only as long as it has credit (in
 * bytes), and each side may end it: the main thread by `cancel`, which is not answered.
 */
export type ToWorker =
  | { readonly kind: "open"; readonly id: number; readonly request: OpenDiskRequest }
  | { readonly kind: "call"; readonly id: number; readonly method: "list" | "listJson"; readonly request: ListRequest }
  | { readonly kind: "call"; readonly id: number; readonly method: "info" | "resolve"; readonly request: PathRequest }
  | { readonly kind: "call"; readonly id: number; readonly method: "select"; readonly request: readonly (readonly string[])[] }
  | { readonly kind: "call"; readonly id: number; readonly method: "unlock"; readonly request: UnlockRequest }
  | { readonly kind: "read"; readonly id: number; readonly request: PathRequest & { readonly offset: number; readonly length: number } }
  | { readonly kind: "walk"; readonly id: number; readonly request: PathRequest }
  | { readonly kind: "walk-selection"; readonly id: number; readonly paths: readonly (readonly ByteString[])[] }
  | { readonly kind: "credit"; readonly id: number; readonly bytes: number }
  | { readonly kind: "cancel"; readonly id: number }
  /** A chunk's buffer comes back, to be filled again. */
  | { readonly kind: "recycle"; readonly buffer: ArrayBuffer }
  /** The answer to `siblings`. */
  | { readonly kind: "siblings"; readonly disks: readonly SiblingSocket[] }
  | { readonly kind: "ping" };

export type FromWorker =
  /** All modules are loaded. */
  | { readonly kind: "ready" }
  | { readonly kind: "pong" }
  /** Before each volume, when asked to open them one by one: whoever hangs is named. */
  | { readonly kind: "opening"; readonly volume: string }
  /** A volume has parts that this disk lacks: the other disks of the backup are wanted. Asked at most once. */
  | { readonly kind: "siblings" }
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: ErrorBody }
  | { readonly kind: "chunk"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "group"; readonly id: number; readonly group: PackedGroup }
  | { readonly kind: "end"; readonly id: number };

export interface OpenDiskRequest {
  /** The NBD server of this disk. */
  readonly socketPath: string;
  /** Changes when the disk's contents change. */
  readonly diskId: string;
  /** Whether the backup has other disks that may be asked for. */
  readonly hasSiblings: boolean;
  /** Opens the volumes one by one and tells which. */
  readonly oneByOne: boolean;
  /** Volumes that are not opened, and why. */
  readonly skip: readonly (readonly [string, NodeError])[];
}

/** Another disk of the same backup. */
export interface SiblingSocket {
  /** For messages. */
  readonly name: string;
  /** Its NBD server; undefined where it could not be opened. */
  readonly socketPath: string | undefined;
  /** Changes when its contents change. */
  readonly diskId: string;
}

export interface OpenedDisk {
  readonly sizeBytes: number;
  readonly volumes: readonly VolumeSummary[];
}

/** Bytes a stream may be ahead of whoever takes it, between the threads; the reader's own window comes on top. */
export const streamCreditBytes = 1024 * 1024;

/**
 * The same for a file's chunks. One transfer alone gets a few of the largest, so that the next one is
 * there already when the socket has room; many at once get little each.
 * @param streams under way in this worker, this one included
 */
export function readCreditBytes(streams: number): number {
  return Math.max(Math.floor(maxReadCreditBytes / streams), minReadCreditBytes);
}
const maxReadCreditBytes = 4 * 1024 * 1024;
const minReadCreditBytes = 128 * 1024;
