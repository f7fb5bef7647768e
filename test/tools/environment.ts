import { accessSync, constants, existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe } from "vitest";

/** Debian packages of the tools that tests call: what the message names when one is missing. */
const packages: Record<string, string> = {
  "qemu-img": "qemu-utils", "qemu-nbd": "qemu-utils", "mkfs.vfat": "dosfstools", "fsck.fat": "dosfstools",
  mcopy: "mtools", mdir: "mtools", mmd: "mtools", mattrib: "mtools", mlabel: "mtools", "mkfs.ext4": "e2fsprogs",
  debugfs: "e2fsprogs", "mkfs.btrfs": "btrfs-progs", btrfs: "btrfs-progs", btrfstune: "btrfs-progs", sfdisk: "fdisk", sgdisk: "gdisk", parted: "parted", getfattr: "attr", setfattr: "attr",
  "mkfs.f2fs": "f2fs-tools", "mkfs.jfs": "jfsutils", "mkfs.reiserfs": "reiserfsprogs",
  fls: "sleuthkit", icat: "sleuthkit", blkid: "util-linux", losetup: "mount",
  genisoimage: "genisoimage", isoinfo: "genisoimage", xorriso: "xorriso", bsdtar: "libarchive-tools", mksquashfs: "squashfs-tools", unsquashfs: "squashfs-tools",
};

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Fails the test file, naming what to install; `npm test` installs it on its own when it may. */
export function requireTools(...names: string[]): void {
  const missing = names.filter((name) => !hasTool(name));
  if (missing.length === 0) return;
  const needed = [...new Set(missing.map((name) => packages[name] ?? name))];
  throw new Error(`these tests need ${missing.join(", ")}: apt-get install ${needed.join(" ")}`);
}

export function hasTool(name: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A describe that is passed over, in words, for anyone who may not mount. */
export function describeAsRoot(name: string, body: () => void): void {
  if (isRoot()) describe(name, body);
  else describe.skip(`${name} (passed over: kernel mounts need root)`, body);
}

/** Runs `use` with a folder of its own, in memory where there is a /dev/shm, and removes it. */
export async function withTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await temporaryFolder();
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** For beforeAll and afterAll; the caller removes it. */
export async function temporaryFolder(): Promise<string> {
  return await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "pluck-test-"));
}
