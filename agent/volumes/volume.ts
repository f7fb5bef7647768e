import type { BlockSource } from "../blocks/block-source.ts";
import type { DiskError } from "../blocks/disk-error.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";

/** A part of a disk that may hold a filesystem. */
export interface Volume {
  /**
   * Its name under the mount: "p1" by partition number, "vg-lv", "md-name" for an array, "md-namep1" for a partition
   * inside one, or "disk" for the bare disk. Where two logical volumes would have one name, the second has its dashes
   * doubled, as device-mapper does ("a--b-c"). An encrypted volume of another disk is "luks-" and its UUID.
   */
  readonly name: string;
  readonly kind: "disk" | "partition" | "logical-volume" | "array";
  /** Its bytes; undefined when `error` says why there are none. With both, it can be read, but its table contradicts itself. */
  readonly source: BlockSource | undefined;
  readonly sizeBytes: number;
  /** What the partition table says of it. */
  readonly partition?: PartitionInfo;
  readonly error?: DiskError;
  /** True for a part of what else is listed, whatever its own first bytes look like; `error` says of what. */
  readonly isMember?: boolean;
  /** Set for an encrypted volume of another disk of the backup, which may hold parts that this one lacks: that disk. */
  readonly elsewhere?: string;
  /** The name of the volume under which the filesystem is listed that it is a device of. */
  readonly partOf?: string;
  /** Set where the filesystem on it lies on other volumes as well. */
  readonly spanning?: SpanningFileSystem;
}

/** A filesystem over several volumes, listed under the first of them. */
export interface SpanningFileSystem {
  /** How many of its devices were found. */
  readonly deviceCount: number;
  /** Throws "unsupported" naming a missing device; "io_error" where that may be on a disk that could not be opened. */
  open(): Promise<FileSystem>;
}

export interface PartitionInfo {
  readonly number: number;
  readonly table: "gpt" | "mbr";
  /** GPT: the type GUID in upper case; MBR: "0x83". */
  readonly type: string;
  readonly uuid: string | undefined;
  readonly label: string | undefined;
  readonly startBytes: number;
}
