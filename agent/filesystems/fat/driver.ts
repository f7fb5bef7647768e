import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError } from "../../blocks/disk-error.ts";
import type { FileSystem, FileSystemDriver, FileSystemFacts } from "../filesystem.ts";
import { BOOT_SECTOR_BYTES, FIRST_CLUSTER, isFatBootSector, parseBootSector, type BootSector } from "./boot-sector.ts";
import { ClusterChain } from "./cluster-chain.ts";
import { FatFileSystem } from "./fat-file-system.ts";
import { FatTable } from "./fat-table.ts";
import { bootLabel, findLabel, readIsDirty, readUsedBytes, toLabel, toUuid } from "./volume-state.ts";

/** How much of the root directory is searched for a label; it is one of the first records where there is one. */
const LABEL_SEARCH_BYTES = 256 * 1024;

/** FAT12, FAT16 and FAT32, with long names. */
export const fat: FileSystemDriver = {
  name: "fat",

  async probe(source: BlockSource): Promise<boolean> {
    if (source.sizeBytes < BOOT_SECTOR_BYTES) return false;
    return isFatBootSector(await source.read(0, BOOT_SECTOR_BYTES));
  },

  async open(source: BlockSource): Promise<FileSystem> {
    const boot = parseBootSector(await source.read(0, Math.min(BOOT_SECTOR_BYTES, source.sizeBytes)));
    const table = new FatTable(source, boot);
    return new FatFileSystem(source, boot, table, await readFacts(source, boot, table)) as FileSystem;
  },
};

async function readFacts(source: BlockSource, boot: BootSector, table: FatTable): Promise<FileSystemFacts> {
  const isDirty = await readIsDirty(boot, table);
  return {
    type: "vfat",
    label: (await ifReadable(readRootLabel(source, boot, table))) ?? bootLabel(boot),
    uuid: toUuid(boot.serialNumber),
    sizeBytes: boot.sizeBytes,
    usedBytes: await ifReadable(readUsedBytes(source, boot, table)),
    blockSizeBytes: boot.clusterBytes,
    state: isDirty ? "dirty" : "clean",
  };
}

/** A bad spot that only costs a label or a count must not cost the files; listing its place reports it. */
async function ifReadable<T>(value: Promise<T>): Promise<T | undefined> {
  try {
    return await value;
  } catch (error) {
    if (error instanceof DiskError) return undefined;
    throw error;
  }
}

async function readRootLabel(source: BlockSource, boot: BootSector, table: FatTable): Promise<string | undefined> {
  if (boot.rootCluster === 0) {
    const found = findLabel(await source.read(boot.rootOffsetBytes, boot.rootBytes));
    return typeof found === "object" ? toLabel(found.label) : undefined;
  }
  const chain = new ClusterChain(table, boot.rootCluster, "FAT root directory");
  await chain.follow(Math.ceil(LABEL_SEARCH_BYTES / boot.clusterBytes));
  for (const run of chain.runs) {
    const offset = boot.dataOffsetBytes + (run.cluster - FIRST_CLUSTER) * boot.clusterBytes;
    const found = findLabel(await source.read(offset, run.count * boot.clusterBytes));
    if (found !== undefined) return typeof found === "object" ? toLabel(found.label) : undefined;
  }
  return undefined;
}
