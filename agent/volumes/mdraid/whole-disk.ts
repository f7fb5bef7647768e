import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError } from "../../blocks/disk-error.ts";
import { scanTable } from "../table-scan.ts";
import { readMdSuperblock } from "./superblock.ts";

/**
 * True when the disk as a whole is a member of an array. Superblocks at the end leave the array's first bytes at the
 * start of the disk, partition table included. One of version 0.90 may also belong to the last partition, when that
 * reaches to the end of the disk: it doesn't say where it lies, but how much of its device it uses.
 */
export async function isWholeDiskMember(source: BlockSource): Promise<boolean> {
  try {
    const superblock = await readMdSuperblock(source);
    if (superblock === undefined) return false;
    if (superblock.version !== "0.90") return true;
    const partitions = (await scanTable(source)).filter((volume) => volume.kind === "partition");
    return !partitions.some((volume) => volume.sizeBytes >= superblock.usedBytes && (volume.partition?.startBytes ?? 0) + volume.sizeBytes > superblock.dataBytes);
  } catch (error) {
    // What can't be read here is met again where the table is read, or where the array is put together.
    if (error instanceof DiskError) return false;
    throw error;
  }
}
