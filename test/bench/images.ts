import { mkdirSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, open, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { isRoot } from "../tools/environment.ts";
import { noise } from "../../deploy/demo/content.ts";

/** Raise when an image changes: the cache holds one folder a version. */
const version = 1;
const MIB = 1024 * 1024;

export const bigFileBytes = 2048 * MIB;
export const manyEntries = 100_000;
export const smallFiles = 20_000;
export const smallFileBytes = 4096;

/** The folder of the bench repository, made on the first run and kept under the system's temporary folder. */
export async function benchRepository(): Promise<string> {
  const folder = join(process.env["PLUCK_BENCH_IMAGES"] ?? tmpdir(), `pluck-bench-images-${version}`);
  if (await stat(folder).then(() => true, () => false)) return folder;
  const scratch = await mkdtemp(`${folder}.building-`);
  try {
    await makeImage(scratch, "big", bigFileBytes / MIB + 300, writeBigFile);
    await makeImage(scratch, "many", 700, (tree) => writeEmptyFiles(join(tree, "many"), manyEntries));
    await makeImage(scratch, "small", 300, writeSmallFiles);
    await rename(join(scratch, "repository"), folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return folder;
}

export function diskOf(name: "big" | "many" | "small"): string {
  return `bench-${name}/disk-0/${name}.qcow2`;
}

async function makeImage(scratch: string, name: "big" | "many" | "small", sizeMib: number, fill: (tree: string) => Promise<void> | void): Promise<void> {
  process.stderr.write(`making the image ${name} ...\n`);
  const tree = join(scratch, name);
  await mkdir(tree);
  const raw = join(scratch, `${name}.raw`);
  const target = join(scratch, "repository", diskOf(name));
  await mkdir(join(target, ".."), { recursive: true });
  const inodes = name === "many" ? ["-N", String(manyEntries + 1000)] : [];
  const mke2fs = async (...from: string[]): Promise<unknown> => await execa("/usr/sbin/mke2fs", ["-q", "-F", "-t", "ext4", "-b", "4096", ...inodes, ...from, raw, `${sizeMib}m`]);
  if (isRoot()) {
    // mke2fs -d takes minutes for a folder of 100,000 names; the kernel takes seconds.
    await mke2fs();
    await execa("mount", ["-o", "loop", raw, tree]);
    try {
      await fill(tree);
    } finally {
      await execa("umount", [tree]);
    }
  } else {
    await fill(tree);
    await mke2fs("-d", tree);
  }
  await rm(tree, { recursive: true });
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, target]);
  await rm(raw);
}

async function writeBigFile(tree: string): Promise<void> {
  const file = await open(join(tree, "big.bin"), "w");
  for (let index = 0; index < bigFileBytes / (16 * MIB); index += 1) await file.write(noise(`big:${index}`, 16 * MIB));
  await file.close();
}

function writeEmptyFiles(folder: string, count: number): void {
  mkdirSync(folder);
  for (let index = 0; index < count; index += 1) writeFileSync(join(folder, `entry-${String(index).padStart(6, "0")}.dat`), "");
}

function writeSmallFiles(tree: string): void {
  const perFolder = 200;
  for (let index = 0; index < smallFiles; index += 1) {
    const folder = join(tree, "small", `folder-${String(Math.floor(index / perFolder)).padStart(3, "0")}`);
    if (index % perFolder === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${index}.bin`), noise(`small:${index}`, smallFileBytes));
  }
}
