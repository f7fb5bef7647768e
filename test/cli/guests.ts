import { link, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { seeded } from "../system/repository.ts";
import { makeLuksImage } from "../tools/luks-image.ts";

/** A name that would turn a careless terminal into somebody else's. */
export const escapeName = "\u001b[31mred\u001b]0;title\u0007";
export const bidiName = "gpj.\u202eexe";
/** latin1 "grüße". */
export const latin1Name = Buffer.from([0x67, 0x72, 0xfc, 0xdf, 0x65]);

/**
 * A VM whose names mean harm: a disk of plain ext4. The folder that mke2fs was given is what is to be
 * expected.
 */
export async function makeHostile(folder: string, qcow2: string): Promise<string> {
  const tree = join(folder, "hostile");
  await mkdir(join(tree, "names"), { recursive: true });
  await mkdir(join(tree, "links"));
  await mkdir(join(tree, "etc"));
  await writeFile(join(tree, "etc/fstab"), "LABEL=hostile / ext4 defaults 0 1\n");
  for (const name of [escapeName, bidiName, "new\nline", "..hidden", "-rf", ".partial.pluck-part", "a".repeat(255)]) await writeFile(join(tree, "names", name), `${name.length}\n`);
  await writeFile(Buffer.concat([Buffer.from(`${tree}/names/`), latin1Name]), "latin1\n");
  await symlink("/etc", join(tree, "links/absolute"));
  await symlink("../../../../outside", join(tree, "links/up"));
  await writeFile(join(tree, "links/one"), seeded(5000, 1));
  await link(join(tree, "links/one"), join(tree, "links/two"));
  await execa("mkfifo", [join(tree, "links/pipe")]);
  await execa("chmod", ["0604", join(tree, "links/one")]);
  await execa("touch", ["-d", "2001-02-03 04:05:06.123456789 UTC", join(tree, "links/one")]);
  await execa("touch", ["-h", "-d", "2002-02-03 04:05:06.5 UTC", join(tree, "links/absolute")]);
  await execa("chmod", ["0750", join(tree, "links")]);
  await execa("touch", ["-d", "2003-02-03 04:05:06 UTC", join(tree, "links")]);
  await makeDisk(tree, qcow2, 16, "hostile");
  return tree;
}

export const passphrase = "correct horse";

/** A disk that is LUKS from its first byte on, by QEMU's own driver, around ext4. */
export async function makeLocked(folder: string, qcow2: string): Promise<void> {
  const tree = join(folder, "locked");
  await mkdir(tree);
  await writeFile(join(tree, "secret.txt"), "behind the lock\n");
  const plain = join(folder, "locked.raw");
  await execa("mke2fs", ["-q", "-t", "ext4", "-F", "-d", tree, plain, "8192k"]);
  const encrypted = join(folder, "locked.luks");
  await makeLuksImage(plain, encrypted, passphrase);
  await mkdir(dirname(qcow2), { recursive: true });
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", encrypted, qcow2]);
}

async function makeDisk(tree: string, qcow2: string, mebibytes: number, label: string): Promise<void> {
  const raw = `${tree}.raw`;
  await execa("mke2fs", ["-q", "-t", "ext4", "-I", "256", "-L", label, "-F", "-d", tree, raw, `${mebibytes * 1024}k`]);
  await mkdir(dirname(qcow2), { recursive: true });
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, qcow2]);
}
