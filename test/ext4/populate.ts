import {
  chmodSync, closeSync, fsyncSync, ftruncateSync, linkSync, lchownSync, lutimesSync, mkdirSync, openSync, rmdirSync,
  symlinkSync, unlinkSync, utimesSync, writeFileSync, writeSync,
} from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { Random } from "../tools/random.ts";

export interface PopulateOptions {
  readonly blockSizeBytes: number;
  /** Entries of the large directory. */
  readonly manyEntries?: number;
  /** Values of attributes too large for a block (the ea_inode feature). */
  readonly largeAttributes?: boolean;
  /** Numbers of a device node; not every filesystem takes 12 and 20 bits. */
  readonly largeDevice?: readonly [major: number, minor: number];
}

/** Fills a mounted filesystem with one of everything that ext2, ext3 and ext4 store differently. */
export async function populate(root: string, options: PopulateOptions): Promise<void> {
  writeSizes(root);
  writeSparse(root, options.blockSizeBytes);
  await writeFragmented(root, options.blockSizeBytes);
  writeNames(root, options.manyEntries ?? 1500);
  writeLinks(root, options.blockSizeBytes);
  await writeSpecialFiles(root, options.largeDevice ?? [4000, 700_000]);
  await writeAttributes(root, options.largeAttributes ?? false);
  writeOwnersAndTimes(root);
}

function writeSizes(root: string): void {
  const folder = join(root, "sizes");
  mkdirSync(folder);
  const random = new Random(1);
  for (const size of [0, 1, 59, 60, 61, 96, 100, 156, 160, 161, 500, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 70_000, 1_500_000]) {
    writeFileSync(join(folder, `${size}`), random.bytes(size));
  }
}

/** Data far apart: into the single, double and, with small blocks, triple indirect range. */
function writeSparse(root: string, blockSizeBytes: number): void {
  const perBlock = blockSizeBytes / 4;
  const offsets = [0, 11, 12, 13, 12 + perBlock - 1, 12 + perBlock, 12 + perBlock * 3 + 5, 12 + perBlock + perBlock * perBlock + 7]
    .map((block) => block * blockSizeBytes)
    .filter((offset) => offset < 300 * 1024 * 1024);
  const descriptor = openSync(join(root, "sparse"), "w");
  for (const offset of offsets) writeSync(descriptor, `data at ${offset}`, offset + 3);
  closeSync(descriptor);
  const hollow = openSync(join(root, "hollow"), "w");
  ftruncateSync(hollow, 123_456_789);
  closeSync(hollow);
}

/** Many extents: blocks written in turn with another file's, holes punched, space allocated but not written. */
async function writeFragmented(root: string, blockSizeBytes: number): Promise<void> {
  const left = openSync(join(root, "fragmented-a"), "w");
  const right = openSync(join(root, "fragmented-b"), "w");
  for (let i = 0; i < 25; i++) {
    writeSync(left, Buffer.alloc(blockSizeBytes, i + 1), 0, blockSizeBytes, i * 2 * blockSizeBytes);
    fsyncSync(left);
    writeSync(right, Buffer.alloc(blockSizeBytes, 200 - i), 0, blockSizeBytes, i * blockSizeBytes);
    fsyncSync(right);
  }
  closeSync(left);
  closeSync(right);
  // Every second block of a longer file: several leaves, and with small blocks several levels.
  const comb = openSync(join(root, "comb"), "w");
  const teeth = 900;
  for (let i = 0; i < teeth; i++) writeSync(comb, Buffer.alloc(blockSizeBytes, (i % 251) + 1), 0, blockSizeBytes, i * 2 * blockSizeBytes);
  closeSync(comb);
  const allocated = join(root, "allocated");
  const result = await execa("fallocate", ["--length", String(blockSizeBytes * 64), allocated], { reject: false });
  // ext2 and ext3 can't allocate without writing.
  if (result.failed) return;
  const file = openSync(allocated, "r+");
  writeSync(file, "written in the middle", blockSizeBytes * 10 + 17);
  writeSync(file, Buffer.alloc(blockSizeBytes * 3, 7), 0, blockSizeBytes * 3, blockSizeBytes * 40);
  closeSync(file);
  await execa("fallocate", ["--punch-hole", "--offset", String(blockSizeBytes * 41), "--length", String(blockSizeBytes), allocated], { reject: false });
  await execa("fallocate", ["--keep-size", "--offset", String(blockSizeBytes * 64), "--length", String(blockSizeBytes * 8), allocated], { reject: false });
}

function writeNames(root: string, manyEntries: number): void {
  const many = join(root, "many");
  mkdirSync(many);
  for (let i = 0; i < manyEntries; i++) writeFileSync(join(many, `entry number ${i} ${"x".repeat(i % 40)}`), i % 7 === 0 ? `${i}` : "");
  for (let i = 0; i < manyEntries; i += 3) unlinkSync(join(many, `entry number ${i} ${"x".repeat(i % 40)}`));
  const names = join(root, "names");
  mkdirSync(names);
  writeFileSync(join(names, "l".repeat(255)), "long");
  writeFileSync(join(names, "größe – ファイル"), "utf-8");
  writeFileSync(Buffer.concat([Buffer.from(`${names}/`), Buffer.from([0xff, 0xfe, 0x41, 0x80])]), "no utf-8");
  writeFileSync(join(names, "new\nline and \\ and \""), "odd");
  for (const name of ["...", "..a", " ", "-"]) writeFileSync(join(names, name), name);
  let deep = join(root, "deep");
  for (let i = 0; i < 20; i++) {
    mkdirSync(deep);
    writeFileSync(join(deep, "here"), `level ${i}`);
    deep = join(deep, `level-${i}`);
  }
  // Three entries fit an inline directory's first part, the next go to its attribute, then to a block.
  for (const count of [0, 1, 3, 5, 12, 40]) {
    const folder = join(root, `folder-of-${count}`);
    mkdirSync(folder);
    for (let i = 0; i < count; i++) writeFileSync(join(folder, `f${i}`), `${i}`);
  }
  const emptied = join(root, "emptied");
  mkdirSync(emptied);
  for (let i = 0; i < 200; i++) mkdirSync(join(emptied, `gone-${i}`));
  for (let i = 0; i < 200; i++) rmdirSync(join(emptied, `gone-${i}`));
}

function writeLinks(root: string, blockSizeBytes: number): void {
  const folder = join(root, "links");
  mkdirSync(folder);
  const lengths = [1, 58, 59, 60, 61, 100, 200, 1000, blockSizeBytes - 2, blockSizeBytes - 1];
  for (const length of lengths) symlinkSync("t".repeat(Math.min(length, 4095)), join(folder, `to-${length}`));
  symlinkSync("../sizes/100", join(folder, "working"));
  writeFileSync(join(folder, "first"), "linked");
  linkSync(join(folder, "first"), join(folder, "second"));
  linkSync(join(folder, "first"), join(root, "third"));
}

async function writeSpecialFiles(root: string, [major, minor]: readonly [number, number]): Promise<void> {
  const folder = join(root, "special");
  mkdirSync(folder);
  await execa("mknod", [join(folder, "null"), "c", "1", "3"]);
  await execa("mknod", [join(folder, "disk"), "b", "8", "17"]);
  await execa("mknod", [join(folder, "large-numbers"), "c", String(major), String(minor)]);
  await execa("mknod", [join(folder, "pipe"), "p"]);
  await execa("python3", ["-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", join(folder, "socket")], { reject: false });
}

async function writeAttributes(root: string, largeAttributes: boolean): Promise<void> {
  const folder = join(root, "attributes");
  mkdirSync(folder);
  const set = async (file: string, name: string, value: string) => {
    await execa("setfattr", ["-h", "-n", name, ...(value === "" ? [] : ["-v", value]), join(folder, file)]);
  };
  for (const file of ["few", "many", "empty", "trusted", "acl", "large"]) writeFileSync(join(folder, file), file);
  await set("few", "user.comment", "fits the inode");
  await set("few", "security.label", "system_u:object_r:thing_t:s0");
  for (let i = 0; i < 14; i++) await set("many", `user.attribute-${i}`, "v".repeat(i * 2 + 1));
  await set("empty", "user.empty", "");
  await set("trusted", "trusted.overlay.opaque", "y");
  symlinkSync("nowhere", join(folder, "link"));
  await set("link", "trusted.on-a-link", "yes");
  await execa("setfacl", ["-m", "u:1001:rwx,g:1002:r-x,u:70000:r--,m::rwx", join(folder, "acl")]);
  mkdirSync(join(folder, "acl-folder"));
  await execa("setfacl", ["-m", "u:1001:rwx", "-d", "-m", "u:1001:rwx,g:1003:r", join(folder, "acl-folder")]);
  if (largeAttributes) {
    await set("large", "user.large", "L".repeat(20_000));
    await set("large", "user.larger", "M".repeat(60_000));
  }
}

function writeOwnersAndTimes(root: string): void {
  const folder = join(root, "owners");
  mkdirSync(folder);
  const make = (name: string): string => {
    const path = join(folder, name);
    writeFileSync(path, name);
    return path;
  };
  lchownSync(make("high-ids"), 123_456, 4_000_000_000);
  lchownSync(make("65535"), 65_535, 65_536);
  chmodSync(make("setuid"), 0o6755);
  chmodSync(make("none"), 0);
  mkdirSync(join(folder, "sticky"));
  chmodSync(join(folder, "sticky"), 0o1777);
  for (const seconds of [0, 1, -1, -86_400 * 365, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 33 + 12345, 1.5e9 + 0.123456]) {
    utimesSync(make(`time-${seconds}`), seconds, seconds);
  }
  symlinkSync("x", join(folder, "timed-link"));
  lutimesSync(join(folder, "timed-link"), 1e9, 1e9 + 0.25);
}
