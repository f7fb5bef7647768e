import type { BlockSource } from "../blocks/block-source.ts";
import { Stack, type StackDisk } from "./stack.ts";
import type { Volume } from "./volume.ts";

/** An encrypted volume of another disk, which is not listed. */
export interface Elsewhere {
  readonly disk: string;
  /** By which it is asked to be unlocked: "luks-" and the UUID of its header. */
  readonly name: string;
}

/** @param elsewhere undefined for a volume of this disk */
export type Unlock = (volume: Volume, elsewhere?: Elsewhere) => Promise<BlockSource | undefined>;

/** Another disk of the same backup. */
export interface SiblingDisk {
  /** For messages: "disk 1". */
  readonly name: string;
  /** Its bytes; undefined where it could not be opened. */
  readonly source: BlockSource | undefined;
}

export interface ScanOptions {
  /** Opens the other disks of the same backup; called at most once, and only when something on this one needs them. */
  readonly siblings?: () => Promise<readonly SiblingDisk[]>;
  /**
   * Called for each encrypted volume; what it returns is looked into as if it were a partition. Undefined leaves the
   * volume locked. Those of the other disks come only when these were opened.
   */
  readonly unlock?: Unlock;
}

/**
 * The volumes of a disk: partitions, arrays and logical volumes in any order on top of one another; or one volume
 * "disk" for a filesystem that fills it. Never an empty list: a disk on which nothing is found is one volume "disk"
 * whose error says what was looked for. A volume with both a source and an error can be read with a reservation, or
 * is a member of what else is listed. Logical volumes and arrays are listed when some part of them is on this disk.
 * Throws only "io_error".
 */
export async function scanVolumes(source: BlockSource, options: ScanOptions = {}): Promise<Volume[]> {
  const own: StackDisk = { name: "this disk", source, isOwn: true };
  const alone = new Stack(options.unlock, options.siblings === undefined);
  const volumes = await alone.scan([own]);
  if (!alone.isIncomplete || options.siblings === undefined) return volumes;
  const siblings = await options.siblings();
  const others = siblings.flatMap(({ name, source: other }): StackDisk[] => (other === undefined ? [] : [{ name, source: other, isOwn: false }]));
  const unreadable = siblings.filter((sibling) => sibling.source === undefined).map((sibling) => sibling.name);
  return await new Stack(options.unlock, true, unreadable).scan([own, ...others]);
}
