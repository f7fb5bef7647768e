import { truncate, writeFile } from "node:fs/promises";
import { execa } from "execa";
import { cached } from "../../agent/blocks/cached.ts";
import type { FileSystem } from "../../agent/filesystems/filesystem.ts";
import { openFileSystem } from "../../agent/reader/open-file-system.ts";
import { type OpenVolume, openVolume } from "../../agent/reader/open-volume.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import type { Volume } from "../../agent/volumes/volume.ts";
import { openImageSource } from "../tools/image-source.ts";
import type { Place } from "./mount.ts";

const mebibyte = 1024 * 1024;

/** A disk with a GPT and partitions of these sizes; gives where each lies. */
export async function makeDisk(path: string, sizesMb: readonly number[]): Promise<Exclude<Place, string>[]> {
  await writeFile(path, "");
  await truncate(path, (sizesMb.reduce((sum, size) => sum + size, 0) + 2) * mebibyte);
  await execa("sfdisk", ["-q", path], { input: ["label: gpt", ...sizesMb.map((size) => `size=${size}MiB`), ""].join("\n") });
  const { stdout } = await execa("sfdisk", ["--json", path]);
  const { partitiontable } = JSON.parse(stdout) as { partitiontable: { partitions: { start: number; size: number }[] } };
  return partitiontable.partitions.map(({ start, size }) => ({ path, offset: start * 512, sizelimit: size * 512 }));
}

export interface OpenedDisk {
  /** By name. */
  readonly volumes: ReadonlyMap<string, OpenVolume & { readonly fileSystem?: FileSystem }>;
  /** How often the other disks of the backup were asked for. */
  readonly siblingsAsked: number;
}

/** Opens the first image as the mounted disk, as the reader's worker does; the others are its siblings, undefined where they can't be opened. */
export async function openDisks(...paths: readonly (string | undefined)[]): Promise<OpenedDisk> {
  let siblingsAsked = 0;
  const [own, ...others] = paths;
  const siblings = async () => {
    siblingsAsked += 1;
    return others.map((path, index) => ({ name: `disk ${index + 1}`, source: path === undefined ? undefined : cached(openImageSource(path)) }));
  };
  const found = await scanVolumes(cached(openImageSource(own!)), others.length === 0 ? {} : { siblings });
  const volumes = await Promise.all(found.map(async (volume: Volume, index) => [volume.name, await openVolume(volume, index, openFileSystem, undefined)] as const));
  return { volumes: new Map(volumes), siblingsAsked };
}

/** Name → "btrfs", or why it can't be read. */
export function summarise({ volumes }: OpenedDisk): Record<string, string> {
  return Object.fromEntries([...volumes].map(([name, { summary }]) => [name, summary.readable ? String(summary.filesystem_type) : `${summary.error?.code}: ${summary.error?.detail}`]));
}
