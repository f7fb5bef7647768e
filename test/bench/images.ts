import { mkdirSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, open, rename, rm, stat, writeFile } from "node:fs/promises";
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
/** Of each compressed file, as the guest sees it. */
export const compressedFileBytes = 256 * MIB;

/** The filesystem and the contents of each disk; "many" and "small" are folders of that name at its top. */
const disks = {
  big: { type: "ext4", sizeMib: bigFileBytes / MIB + 300, fill: writeBigFile },
  many: { type: "ext4", sizeMib: 700, fill: writeEmptyFiles },
  small: { type: "ext4", sizeMib: 300, fill: writeSmallFiles },
  xfs: { type: "xfs", sizeMib: 900, fill: writeBothFolders },
  btrfs: {
    type: "btrfs",
    sizeMib: 1500,
    async fill(tree) {
      writeBothFolders(tree);
      for (const algorithm of ["zlib", "zstd"] as const) await writeCompressedFile(tree, algorithm);
    },
  },
} as const satisfies Record<string, Disk>;

interface Disk {
  readonly type: "ext4" | "xfs" | "btrfs";
  readonly sizeMib: number;
  /** Writes into an empty filesystem, mounted at `tree`. */
  readonly fill: (tree: string) => Promise<void> | void;
}

export type DiskName = keyof typeof disks;

/** The folder of the bench repository, under the system's temporary folder; disks that it lacks are made first. */
export async function benchRepository(names: Iterable<DiskName>): Promise<string> {
  const folder = join(process.env["PLUCK_BENCH_IMAGES"] ?? tmpdir(), `pluck-bench-images-${version}`);
  for (const name of names) {
    const target = join(folder, diskOf(name));
    if (await stat(target).then(() => true, () => false)) continue;
    await mkdir(join(target, ".."), { recursive: true });
    await makeImage(name, target);
  }
  return folder;
}

export function diskOf(name: DiskName): string {
  return `bench-${name}/disk-0/${name}.qcow2`;
}

export function typeOf(name: DiskName): Disk["type"] {
  return disks[name].type;
}

async function makeImage(name: DiskName, target: string): Promise<void> {
  process.stderr.write(`making the image ${name} ...\n`);
  const { type, sizeMib, fill }: Disk = disks[name];
  const scratch = await mkdtemp(`${target}.building-`);
  const [tree, raw, qcow2] = [join(scratch, "tree"), join(scratch, "raw"), join(scratch, "qcow2")];
  try {
    await mkdir(tree);
    await execa("truncate", ["--size", `${sizeMib}M`, raw]);
    const inodes = name === "many" ? ["-N", String(manyEntries + 1000)] : [];
    const mke2fs = async (...from: string[]): Promise<unknown> => await execa("/usr/sbin/mke2fs", ["-q", "-F", "-t", "ext4", "-b", "4096", ...inodes, ...from, raw]);
    if (isRoot()) {
      // mke2fs -d takes minutes for a folder of 100,000 names; the kernel takes seconds.
      await (type === "ext4" ? mke2fs() : execa(`/usr/sbin/mkfs.${type}`, ["-q", raw]));
      await execa("mount", ["-o", "loop", raw, tree]);
      try {
        await fill(tree);
      } finally {
        await execa("umount", [tree]);
      }
    } else {
      if (type !== "ext4") throw new Error(`making the ${type} image needs root: it takes a mount`);
      await fill(tree);
      await mke2fs("-d", tree);
    }
    await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, qcow2]);
    await rename(qcow2, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function writeBothFolders(tree: string): void {
  writeEmptyFiles(tree);
  writeSmallFiles(tree);
}

/** Lines as a log has them, of which both algorithms save about two thirds. */
async function writeCompressedFile(tree: string, algorithm: "zlib" | "zstd"): Promise<void> {
  const path = join(tree, `${algorithm}.log`);
  await writeFile(path, "");
  await execa("btrfs", ["property", "set", path, "compression", algorithm]);
  const file = await open(path, "a");
  try {
    for (let block = 0; block < compressedFileBytes / MIB; block += 1) {
      const random = noise(`${algorithm}:${block}`, MIB / 4);
      let text = "";
      for (let line = 0; text.length < MIB; line += 1) {
        const at = line * 16;
        const host = random.readUInt8(at) % 40;
        text += `2026-11-23T07:${String(block % 60).padStart(2, "0")}:${String(line % 60).padStart(2, "0")}Z host-${host} service[${random.readUInt16LE(at + 1)}]: request ${random.toString("hex", at + 3, at + 11)} took ${random.readUInt16LE(at + 11)} us, status ${random.readUInt8(at + 13) < 250 ? 200 : 500}\n`;
      }
      await file.write(text.slice(0, MIB));
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writeBigFile(tree: string): Promise<void> {
  const file = await open(join(tree, "big.bin"), "w");
  for (let index = 0; index < bigFileBytes / (16 * MIB); index += 1) await file.write(noise(`big:${index}`, 16 * MIB));
  await file.close();
}

function writeEmptyFiles(tree: string): void {
  const folder = join(tree, "many");
  mkdirSync(folder);
  for (let index = 0; index < manyEntries; index += 1) writeFileSync(join(folder, `entry-${String(index).padStart(6, "0")}.dat`), "");
}

function writeSmallFiles(tree: string): void {
  const perFolder = 200;
  for (let index = 0; index < smallFiles; index += 1) {
    const folder = join(tree, "small", `folder-${String(Math.floor(index / perFolder)).padStart(3, "0")}`);
    if (index % perFolder === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${index}.bin`), noise(`small:${index}`, smallFileBytes));
  }
}
