import { createCipheriv } from "node:crypto";
import { copyFile, open, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

/** Makes encrypted images without device-mapper: cryptsetup writes the headers, qemu's own LUKS driver or OpenSSL the data. */

export const passphrase = "correct horse";
/** Where cryptsetup is, also for users without sbin in their PATH. */
const env = { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
/** Weak on purpose: the tests derive hundreds of keys. */
const fastPbkdf2 = ["--pbkdf-force-iterations", "1000"];

export interface LuksOptions {
  readonly cipher?: string;
  readonly keyBits?: number;
  readonly hash?: string;
  readonly secret?: string;
}

export async function hasCryptsetup(): Promise<boolean> {
  const found = await execa("cryptsetup", ["--version"], { env, reject: false });
  return found.exitCode === 0;
}

export async function cryptsetup(...args: string[]): Promise<string> {
  const { stdout } = await execa("cryptsetup", ["-q", ...args], { env });
  return stdout;
}

/** A file with the passphrase, as cryptsetup's --key-file takes it. */
export async function keyFile(folder: string, secret: string | Uint8Array = passphrase): Promise<string> {
  const path = join(folder, `key-${Math.random().toString(36).slice(2)}`);
  await writeFile(path, secret);
  return path;
}

/** LUKS1: the header by cryptsetup, the data encrypted by qemu. */
export async function makeLuks1(folder: string, plain: string, path: string, { cipher = "aes-xts-plain64", keyBits = 512, hash = "sha256", secret = passphrase }: LuksOptions = {}): Promise<void> {
  const { size } = await stat(plain);
  const key = await keyFile(folder, secret);
  await writeFile(path, "");
  await truncate(path, size + 4 * 1024 * 1024);
  await cryptsetup("luksFormat", "--type", "luks1", "--cipher", cipher, "--key-size", String(keyBits), "--hash", hash, ...fastPbkdf2, "--key-file", key, path);
  const target = `driver=luks,key-secret=s,file.filename=${path}`;
  await execa("qemu-img", ["convert", "-n", "-f", "raw", "--object", `secret,id=s,file=${key}`, "--target-image-opts", plain, target]);
}

/** LUKS2 out of a LUKS1 by cryptsetup, which leaves the encrypted data where they are. */
export async function toLuks2(luks1: string, path: string): Promise<void> {
  await copyFile(luks1, path);
  await cryptsetup("convert", "--type", "luks2", path);
}

/** Adds a keyslot of LUKS2. */
export async function addArgon2Key(folder: string, path: string, type: "argon2i" | "argon2id", secret: string | Uint8Array): Promise<void> {
  const cost = ["--pbkdf", type, "--pbkdf-force-iterations", "4", "--pbkdf-memory", "1024", "--pbkdf-parallel", "2"];
  await cryptsetup("luksAddKey", ...cost, "--key-file", await keyFile(folder), path, await keyFile(folder, secret));
}

/** LUKS2 with sectors of this size; the data encrypted by OpenSSL sector by sector, with the volume key that cryptsetup was given. */
export async function makeLuks2(folder: string, plain: string, path: string, sectorBytes: number, more: readonly string[] = []): Promise<void> {
  const bytes = await readFile(plain);
  const volumeKey = Buffer.from(Array.from({ length: 64 }, (_, index) => (index * 37 + 11) % 256));
  const offset = 16 * 1024 * 1024;
  await writeFile(path, "");
  await truncate(path, offset + bytes.length);
  const given = ["--volume-key-file", await keyFile(folder, volumeKey), "--key-size", "512", "--key-file", await keyFile(folder)];
  await cryptsetup("luksFormat", "--type", "luks2", "--cipher", "aes-xts-plain64", "--sector-size", String(sectorBytes), "--pbkdf", "pbkdf2", ...fastPbkdf2, ...given, ...more, path);
  const file = await open(path, "r+");
  try {
    const encrypted = Buffer.alloc(bytes.length);
    for (let at = 0; at < bytes.length; at += sectorBytes) {
      const iv = Buffer.alloc(16);
      iv.writeUIntLE(at / 512, 0, 6);
      createCipheriv("aes-256-xts", volumeKey, iv).update(bytes.subarray(at, at + sectorBytes)).copy(encrypted, at);
    }
    await file.write(encrypted, 0, encrypted.length, offset);
  } finally {
    await file.close();
  }
}

/** An ext4 with one file. */
export async function makeExt4(folder: string, path: string, content: string): Promise<void> {
  const tree = join(folder, `tree-${Math.random().toString(36).slice(2)}`);
  await execa("mkdir", [tree]);
  await writeFile(join(tree, "secret.txt"), content);
  await execa("mke2fs", ["-q", "-t", "ext4", "-F", "-d", tree, "-L", "inner", path, "4M"], { env });
  await rm(tree, { recursive: true });
}
