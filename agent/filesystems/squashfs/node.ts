import type { DiskError } from "../../blocks/disk-error.ts";

/** A file, by the reference to its inode: unique but for equal hard links. */
export interface SquashNode {
  /** (Position of the metadata block from the inode table's start) × 65536 + offset within its contents. */
  readonly reference: number;
  /** Stands for what could not be read. */
  readonly damage: DiskError | undefined;
}

export function damagedNode(damage: DiskError): SquashNode {
  return { reference: -1, damage };
}
