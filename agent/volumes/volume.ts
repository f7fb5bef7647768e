import type { BlockSource } from "../blocks/block-source.ts";
import type { DiskError } from "../blocks/disk-error.ts";

/** A part of a disk that may hold a filesystem. */
export interface Volume {
  /**
   * Its name under the mount: "p1" by partition number, "vg-lv", "md-name" for an array, "md-namep1" for a partition
   * inside one, or "disk" for the bare disk. Where two logical volumes would have one name, the second has its dashes
   * doubled, as device-mapper does ("a--b-c").
   */
  readonly name: string;
  readonly kind: "disk" | "partition" | "logical-volume" | "array";
  /** Its bytes; undefined when `error` says why there are none. With both, it can be read, but its table contradicts itself. */
  readonly source: BlockSource | undefined;
  readonly sizeBytes: number;
  /** What the partition table says of it. */
  readonly partition?: PartitionInfo;
  readonly error?: DiskError;
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
