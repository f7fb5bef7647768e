import { existsSync } from "node:fs";
import { mkdir, truncate, writeFile, symlink, link, rm, rename } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { makeXfsFromTree } from "../xfs/protofile.ts";
import { requireTools } from "../tools/environment.ts";
import { Random } from "../tools/random.ts";

const cacheFolder = join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "pluck-test-images");

/** Raw images that mkfs and mtools make without root, by name; made once and kept. */
export const madeImages: readonly (readonly [name: string, make: () => Promise<string>])[] = [
  ["mkfs.vfat -F 12", () => made("fat12", 4, makeFat(12, []))],
  ["mkfs.vfat -F 16", () => made("fat16", 24, makeFat(16, ["-s", "1"]))],
  ["mkfs.vfat -F 32", () => made("fat32", 40, makeFat(32, ["-s", "1"]))],
  ["mkfs.ext2", () => made("ext2", 24, makeExt("ext2", ["-b", "1024"]))],
  ["mkfs.ext3", () => made("ext3", 24, makeExt("ext3", ["-b", "2048"]))],
  ["mkfs.ext4", () => made("ext4", 32, makeExt("ext4", ["-b", "4096", "-O", "inline_data"]))],
  ["mkfs.xfs, version 5", () => made("xfs5", 20, makeXfs([]))],
  ["mkfs.xfs, version 4", () => made("xfs4", 20, makeXfs(["-m", "crc=0", "-n", "ftype=0", "-b", "size=512"]))],
  ["mkfs.btrfs", () => made("btrfs", 110, makeBtrfs([]))],
  ["mkfs.btrfs --mixed", () => made("btrfs-mixed", 24, makeBtrfs(["--mixed", "-n", "4096", "--csum", "xxhash"]))],
  ["genisoimage -R", () => made("iso9660-rock", 0, makeIso(["-R"]))],
  ["genisoimage -J", () => made("iso9660-joliet", 0, makeIso(["-J", "-joliet-long"]))],
  ["genisoimage", () => made("iso9660-plain", 0, makeIso(["-iso-level", "2"]))],
  ["xorriso --zisofs", () => made("iso9660-zisofs", 0, makeZisofs)],
  ["mksquashfs -comp gzip", () => made("squashfs-gzip", 0, makeSquashfs(["-comp", "gzip"]))],
  ["mksquashfs -comp xz", () => made("squashfs-xz", 0, makeSquashfs(["-comp", "xz", "-b", "4K"]))],
  ["mksquashfs, nothing compressed", () => made("squashfs-stored", 0, makeSquashfs(["-noI", "-noD", "-noF", "-noX"]))],
];

type Maker = (imagePath: string, treeFolder: string) => Promise<void>;

async function made(name: string, sizeMb: number, make: Maker): Promise<string> {
  const path = join(cacheFolder, `made-${name}-1.raw`);
  if (existsSync(path)) return path;
  const temporary = join(cacheFolder, `made-${name}-${randomUUID()}`);
  await mkdir(temporary, { recursive: true });
  try {
    const image = join(temporary, "image");
    const tree = join(temporary, "tree");
    await mkdir(tree);
    await writeFile(image, "");
    await truncate(image, sizeMb * 1024 * 1024);
    await make(image, tree);
    await rename(image, path);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return path;
}

function makeFat(bits: number, options: readonly string[]): Maker {
  return async (image, tree) => {
    requireTools("mkfs.vfat", "mcopy");
    await makeTree(tree, { symlinks: false });
    await execa("mkfs.vfat", ["-F", String(bits), "-n", "PLUCKTEST", ...options, image]);
    await execa("mcopy", ["-s", "-Q", "-i", image, join(tree, "files"), join(tree, "long names"), "::/"], { env: { LC_ALL: "C.UTF-8" } });
  };
}

function makeExt(type: string, options: readonly string[]): Maker {
  return async (image, tree) => {
    requireTools("mkfs.ext4");
    await makeTree(tree, { symlinks: true });
    await execa("mke2fs", ["-q", "-F", "-t", type, ...options, "-d", tree, image]);
  };
}

function makeXfs(options: readonly string[]): Maker {
  return async (image, tree) => {
    requireTools("mkfs.xfs");
    await makeTree(tree, { symlinks: true });
    await makeXfsFromTree(image, tree, options);
  };
}

function makeBtrfs(options: readonly string[]): Maker {
  return async (image, tree) => {
    requireTools("mkfs.btrfs");
    await makeTree(tree, { symlinks: true });
    await execa("mkfs.btrfs", ["-q", "-f", ...options, "--rootdir", tree, image]);
  };
}

function makeIso(options: readonly string[]): Maker {
  return async (image, tree) => {
    requireTools("genisoimage");
    // genisoimage cuts long link targets in the wrong place.
    await makeTree(tree, { symlinks: true });
    await execa("genisoimage", ["-quiet", "-input-charset", "utf-8", ...options, "-m", "long-link", "-o", image, tree]);
  };
}

const makeZisofs: Maker = async (image, tree) => {
  requireTools("xorriso");
  await makeTree(tree, { symlinks: true });
  await rm(join(tree, "files/long-link"));
  await writeFile(join(tree, "files/text"), "the same words again and again\n".repeat(10_000));
  await execa("xorriso", ["-outdev", `stdio:${image}`, "-map", tree, "/", "-set_filter_r", "--zisofs", "/", "--", "-commit"], { env: { LC_ALL: "C.UTF-8" } });
};

function makeSquashfs(options: readonly string[]): Maker {
  return async (image, tree) => {
    requireTools("mksquashfs");
    await makeTree(tree, { symlinks: true });
    await writeFile(join(tree, "files/text"), "the same words again and again\n".repeat(10_000));
    await execa("mksquashfs", [tree, image, "-noappend", "-no-progress", "-quiet", "-processors", "1", ...options]);
  };
}

async function makeTree(folder: string, { symlinks }: { symlinks: boolean }): Promise<void> {
  const random = new Random(7);
  const files = join(folder, "files");
  await mkdir(join(files, "deep/er/and/deeper"), { recursive: true });
  await mkdir(join(folder, "long names"));
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 70_000, 300_001]) {
    await writeFile(join(files, `size-${size}`), random.bytes(size));
  }
  for (let index = 0; index < 150; index += 1) await writeFile(join(files, `many-${index}.txt`), `number ${index}\n`);
  await writeFile(join(files, "deep/er/and/deeper/leaf"), "leaf");
  for (const name of ["Zürich – Übersicht.txt", "日本語のファイル名.txt", "emoji 🍄 mushroom", "x".repeat(200), "UPPER.TXT", "lower.txt", "Mixed.Txt"]) {
    await writeFile(join(folder, "long names", name), name);
  }
  if (!symlinks) return;
  await symlink("leaf", join(files, "deep/er/and/deeper/short-link"));
  await symlink("y".repeat(300), join(files, "long-link"));
  await link(join(files, "size-70000"), join(files, "hard-link"));
}
