import type { BlockSource } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { btrfs } from "./btrfs/driver.ts";
import { ext4 } from "./ext4/driver.ts";
import { fat } from "./fat/driver.ts";
import type { FileSystem, FileSystemDriver } from "./filesystem.ts";
import { iso9660 } from "./iso9660/driver.ts";
import { recogniseContainer } from "./recognise.ts";
import type { FileSystemMember } from "./spanning.ts";
import { squashfs } from "./squashfs/driver.ts";
import { xfs } from "./xfs/driver.ts";

/** Every reader there is. FAT last: it has no magic, only plausible numbers. */
export const fileSystemDrivers: readonly FileSystemDriver[] = [btrfs, ext4, iso9660, xfs, squashfs, fat];

/**
 * The reader for what lies on the source; undefined when there is none (see `recognise` for its name). A member of
 * an array or an encrypted volume is never opened as the filesystem that its first bytes look like.
 */
export async function detectFileSystem(source: BlockSource): Promise<FileSystemDriver | undefined> {
  if ((await recogniseContainer(source)) !== undefined) return undefined;
  for (const driver of fileSystemDrivers) {
    if (await driver.probe(source)) return driver;
  }
  return undefined;
}

/** A device of a filesystem that may lie on several, and how such a filesystem is opened. */
export interface DetectedMember extends FileSystemMember {
  open(sources: readonly BlockSource[]): Promise<FileSystem>;
}

/** Undefined where the source is none, or what it says of itself can't be read: opening it alone then tells why. */
export async function detectMember(source: BlockSource): Promise<DetectedMember | undefined> {
  for (const driver of fileSystemDrivers) {
    const { readMember, openMembers } = driver;
    if (readMember === undefined || openMembers === undefined || !(await driver.probe(source))) continue;
    if ((await recogniseContainer(source)) !== undefined) return undefined;
    try {
      return { ...(await readMember(source)), open: openMembers };
    } catch (error) {
      if (error instanceof DiskError) return undefined;
      throw error;
    }
  }
  return undefined;
}
