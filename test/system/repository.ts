import { randomBytes } from "node:crypto";
import { link, mkdir, open, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";

/** Sizes and places of the parts of disk 0. */
const mebibyte = 1024 * 1024;
const espStart = 1 * mebibyte;
const espSize = 48 * mebibyte;
const rootStart = espStart + espSize;
const rootSize = 96 * mebibyte;
const disk0Size = rootStart + rootSize + mebibyte;
const disk1Size = 64 * mebibyte;

export const fullBackupId = "backup-pgtest1-1759947871";
export const incrementalBackupId = "backup-pgtest1-1760034271";

/** A backup's file as the source folder holds it, on the developer's own filesystem: what the tests compare with. */
export interface SourceTree {
  /** Host folder whose contents disk 0's root filesystem got. */
  readonly root: string;
  readonly data: string;
}

export interface TestRepository {
  readonly path: string;
  readonly full: SourceTree;
  readonly incremental: SourceTree;
  readonly disks: Readonly<Record<"full0" | "full1" | "incremental0" | "incremental1", string>>;
}

/**
 * A repository with the two-disk VM of the project's origin: disk 0 with a GPT (FAT32 ESP, ext4 root),
 * disk 1 with ext4 on the bare disk; a full backup and an incremental on top. Made by sfdisk, mkfs and
 * qemu-img only, from folders that stay beside it as what is to be expected.
 */
export async function makeRepository(folder: string): Promise<TestRepository> {
  const path = join(folder, "repository");
  const full = await makeTrees(join(folder, "full"), false);
  const incremental = await makeTrees(join(folder, "incremental"), true);
  const disks = {
    full0: "pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2",
    full1: "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2",
    incremental0: "pgtest1/disk-0/backup-pgtest1-disk0-20251009-192431.qcow2",
    incremental1: "pgtest1/disk-1/backup-pgtest1-disk1-20251009-192431.qcow2",
  };
  for (const disk of Object.values(disks)) await mkdir(dirname(join(path, disk)), { recursive: true });
  const raw = join(folder, "raw");
  await mkdir(raw);
  for (const [name, trees] of [["full", full], ["incremental", incremental]] as const) {
    await makeDisk0(join(raw, `${name}0`), trees.root);
    await makeExt4(join(raw, `${name}1`), disk1Size, trees.data);
  }
  for (const index of [0, 1] as const) {
    await toQcow2(join(raw, `full${index}`), join(path, disks[`full${index}`]));
    await toIncremental(join(raw, `incremental${index}`), join(path, disks[`incremental${index}`]), join(path, disks[`full${index}`]));
  }
  await rm(raw, { recursive: true });
  return { path, full, incremental, disks };
}

async function makeTrees(folder: string, later: boolean): Promise<SourceTree> {
  const root = join(folder, "root");
  const data = join(folder, "data");
  for (const sub of ["etc", "home/anna/documents", "var/log", "srv/many", "srv/odd"]) await mkdir(join(root, sub), { recursive: true });
  await mkdir(join(data, "base"), { recursive: true });
  await writeFile(join(root, "etc/hosts"), later ? "127.0.0.1 localhost\n10.0.0.7 pgtest1\n" : "127.0.0.1 localhost\n");
  await writeFile(join(root, "etc/hostname"), "pgtest1\n");
  await symlink("hosts", join(root, "etc/hosts.link"));
  await symlink("/etc/hostname", join(root, "etc/absolute.link"));
  await symlink("../../../../../../etc/shadow", join(root, "etc/escape.link"));
  await symlink("etc", join(root, "config"));
  await symlink("/etc", join(root, "home/anna/etc.link"));
  await link(join(root, "etc/hostname"), join(root, "etc/hostname.hard"));
  await writeFile(join(root, "home/anna/documents/big.bin"), seeded(9_000_001, later ? 7 : 3));
  await writeFile(join(root, "home/anna/documents/empty"), "");
  if (!later) await writeFile(join(root, "home/anna/documents/deleted-later.txt"), "only in the full backup\n");
  if (later) await writeFile(join(root, "home/anna/documents/added-later.txt"), "only in the incremental\n");
  const names = ["with space", "100%", "100%41", "ünïcödé-日本語-🎉", "quo\"te'", "back\\slash", "new\nline", "<b>&amp;", "..hidden", "-rf", "a".repeat(255)];
  for (const [index, name] of names.entries()) await writeFile(join(root, "srv/odd", name), `odd ${index}\n`);
  await writeFile(Buffer.concat([Buffer.from(join(root, "srv/odd") + "/bytes-"), Buffer.from([0xff, 0xfe])]), "not UTF-8\n");
  for (let index = 0; index < 1500; index += 1) await writeFile(join(root, "srv/many", `file-${String(index).padStart(5, "0")}`), `content ${index}\n`.repeat(index % 50));
  const sparse = await open(join(root, "var/log/lastlog"), "w");
  await sparse.write("end", 40 * mebibyte);
  await sparse.close();
  await writeFile(join(data, "base/16384"), seeded(2_500_000, later ? 11 : 5));
  await writeFile(join(data, "PG_VERSION"), later ? "17\n" : "16\n");
  return { root, data };
}

/** Bytes that look random but are the same at each run. */
export function seeded(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0 || 1;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

async function makeDisk0(path: string, root: string): Promise<void> {
  const esp = `${path}.esp`;
  const ext4 = `${path}.ext4`;
  const marker = `${path}.marker`;
  await writeFile(marker, "boot\r\n");
  await execa("truncate", ["-s", String(espSize), esp]);
  await execa("mkfs.vfat", ["-F", "32", "-n", "EFI", "-i", "12345678", esp]);
  await execa("mmd", ["-i", esp, "::/EFI", "::/EFI/debian"]);
  await execa("mcopy", ["-i", esp, marker, "::/EFI/debian/A Long Grub Name.cfg"]);
  await makeExt4(ext4, rootSize, root);
  await execa("truncate", ["-s", String(disk0Size), path]);
  const sectors = (bytes: number): number => bytes / 512;
  await execa("sfdisk", ["--quiet", path], {
    input: `label: gpt\nstart=${sectors(espStart)}, size=${sectors(espSize)}, type=U, name="EFI"\nstart=${sectors(rootStart)}, size=${sectors(rootSize)}, type=L, name="root"\n`,
  });
  for (const [part, start] of [[esp, espStart], [ext4, rootStart]] as const) {
    await execa("dd", [`if=${part}`, `of=${path}`, "bs=1M", `seek=${start / mebibyte}`, "conv=notrunc,sparse", "status=none"]);
    await rm(part);
  }
}

async function makeExt4(path: string, size: number, tree: string): Promise<void> {
  await execa("mke2fs", ["-q", "-t", "ext4", "-F", "-d", tree, "-L", "testfs", "-U", "6a1e5a6e-0001-4000-8000-000000000001", path, `${size / 1024}k`]);
}

async function toQcow2(raw: string, path: string): Promise<void> {
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, path]);
}

/**
 * An overlay that holds only what differs: an empty one over the new contents, then rebased onto the
 * full backup, for which qemu-img writes the clusters that differ between the two.
 */
async function toIncremental(raw: string, path: string, backing: string): Promise<void> {
  const contents = `${path}.contents`;
  await toQcow2(raw, contents);
  await execa("qemu-img", ["create", "-q", "-f", "qcow2", "-b", contents, "-F", "qcow2", path]);
  await execa("qemu-img", ["rebase", "-f", "qcow2", "-b", basename(backing), "-F", "qcow2", path]);
  await rm(contents);
}

/** A qcow2 of nothing but random bytes. */
export async function makeNoise(path: string, size: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const raw = `${path}.raw`;
  await writeFile(raw, randomBytes(size));
  await toQcow2(raw, path);
  await rm(raw);
}
