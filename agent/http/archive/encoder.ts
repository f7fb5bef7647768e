import type { ByteString } from "../../filesystems/byte-string.ts";
import type { Timestamp } from "../../filesystems/filesystem.ts";
import type { WalkEntry } from "../../reader/disk-reader.ts";
import type { ByteBatch } from "./byte-batch.ts";
import type { NameRule } from "./entry-names.ts";

/** An entry of a walk with its path in the archive. */
export interface ArchiveEntry {
  /** Safe, unique, without a slash at either end. */
  readonly name: ByteString;
  readonly node: WalkEntry;
  /** The archive path of the entry this one is a hard link of; only where the format has links. */
  readonly linkName?: ByteString;
}

/**
 * One archive format: turns entries and their bytes into the archive's bytes, and knows nothing of walks.
 * What gives a promise is to be waited for; most gives none, since a wait costs more than a small file.
 */
export interface ArchiveEncoder {
  readonly nameRule: NameRule;
  /** True when only a sparse file's ranges are stored; else its zeros are data like any other. */
  readonly storesSparse: boolean;
  /** True when a further name of a file is stored as a link; else its bytes are stored again. */
  readonly storesHardLinks: boolean;
  /** Why this entry has no place in the format (sockets, device nodes, a size beyond it); undefined when it has. */
  refusal(entry: ArchiveEntry): Refusal | undefined;
  /** @param dataBytes how many bytes of data follow */
  begin(entry: ArchiveEntry, dataBytes: number): void;
  data(bytes: Uint8Array): Promise<void> | undefined;
  /** After the last of its bytes. */
  finishEntry(): Promise<void> | undefined;
  /** The trailer: without it, nobody takes the archive for whole. */
  end(): void;
  /** Lets go of what a broken-off archive still holds; may follow `end`. */
  destroy(): void;
}

export interface Refusal {
  readonly code: "corrupt" | "unsupported" | "io_error" | "volume_locked";
  readonly detail: string;
  /** An error ends the archive, or is reported; what other archivers pass over too (sockets, devices in zip) only reported. */
  readonly isError: boolean;
}

export type EncoderFactory = (output: ByteBatch) => ArchiveEncoder;

export const fileTypeMask = 0o170000;
export const fileTypes = {
  socket: 0o140000,
  symlink: 0o120000,
  file: 0o100000,
  blockDevice: 0o060000,
  directory: 0o040000,
  characterDevice: 0o020000,
  fifo: 0o010000,
} as const;

/** A file of our own at the archive's root. */
export function ownFile(modifiedAt: Timestamp, size: number): WalkEntry {
  return {
    kind: "entry", path: [], type: "file", size, mode: fileTypes.file | 0o644, uid: 0, gid: 0, modifiedAt,
    deviceMajor: 0, deviceMinor: 0, xattrs: [], dataLength: size,
  };
}
