import { rm, truncate, writeFile } from "node:fs/promises";
import { execa } from "execa";

export interface ImageVariant {
  readonly name: string;
  readonly blockSizeBytes: number;
  /** For mkfs.xfs, beside -b. */
  readonly arguments: readonly string[];
  readonly sizeMegabytes?: number;
  readonly sectorSizeBytes?: number;
}

/** Feature sets that Linux can both write and read here: version 5 all of them. */
export const imageVariants: readonly ImageVariant[] = [
  { name: "XFS as made by default", blockSizeBytes: 4096, arguments: [] },
  { name: "1 KiB blocks, 64 KiB directory blocks", blockSizeBytes: 1024, arguments: ["-n", "size=65536"] },
  { name: "1 KiB blocks and directory blocks, no reflink or free inode tree", blockSizeBytes: 1024, arguments: ["-m", "reflink=0,finobt=0,inobtcount=0", "-n", "size=4096"] },
  { name: "2 KiB blocks, 1 KiB inodes, reverse mapping", blockSizeBytes: 2048, arguments: ["-m", "rmapbt=1", "-i", "size=1024"] },
  { name: "4 KiB blocks, 2 KiB inodes, times of 32 bits", blockSizeBytes: 4096, arguments: ["-m", "bigtime=0", "-i", "size=2048"] },
  { name: "large extent counters, many allocation groups, no sparse inode chunks", blockSizeBytes: 4096, arguments: ["-d", "agcount=17", "-i", "nrext64=1,sparse=0", "-l", "size=17m", "--unsupported"] },
  { name: "16 KiB blocks, 4 KiB sectors", blockSizeBytes: 16384, arguments: ["-s", "size=4096"], sectorSizeBytes: 4096 },
  { name: "64 KiB blocks", blockSizeBytes: 65536, arguments: [], sizeMegabytes: 512 },
];

export const testUuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

/**
 * Makes the filesystem, not yet filled.
 * @param uuid of its own unless given: Linux mounts no two of one uuid at once
 */
export async function makeImage(path: string, variant: ImageVariant, uuid?: string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, "");
  await truncate(path, (variant.sizeMegabytes ?? 320) * 1024 * 1024);
  const identity = uuid === undefined ? [] : ["-m", `uuid=${uuid}`];
  await execa("mkfs.xfs", ["-q", "-f", "-L", "pluck test", "-b", `size=${variant.blockSizeBytes}`, ...identity, ...variant.arguments, path]);
}
