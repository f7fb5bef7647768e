import { closeSync, copyFileSync, linkSync, mkdirSync, openSync, readdirSync, unlinkSync, writeFileSync, writeSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { populate } from "../ext4/populate.ts";
import { Random } from "../tools/random.ts";

export interface BtrfsPopulateOptions {
  /** Of the trees; a symlink's target must fit into one. */
  readonly nodeBytes: number;
  /** More names of one file than fit into an inode reference: extended references. */
  readonly manyLinks?: number;
}

/** One of everything that btrfs stores in a way of its own, on top of what every filesystem has. */
export async function populateBtrfs(root: string, options: BtrfsPopulateOptions): Promise<void> {
  await populate(root, { blockSizeBytes: options.nodeBytes < 16_384 ? 2048 : 4096, manyEntries: 600 });
  writeInline(root);
  writeCompressible(root);
  await writeReflinks(root);
  await writeNoCow(root);
  writeManyLinks(root, options.manyLinks ?? 400);
  await writeSubvolumes(root);
}

function writeInline(root: string): void {
  const folder = join(root, "inline");
  mkdirSync(folder);
  for (const size of [1, 2, 100, 1000, 2000, 2047, 2048, 2049, 3900, 4095]) {
    writeFileSync(join(folder, `text-${size}`), "inline text, again and again. ".repeat(200).slice(0, size));
    writeFileSync(join(folder, `noise-${size}`), new Random(size).bytes(size));
  }
  // Inline data under a longer size: zeros follow.
  writeFileSync(join(folder, "extended"), "short");
  truncateSync(join(folder, "extended"), 3000);
  writeFileSync(join(folder, "extended-far"), "short");
  truncateSync(join(folder, "extended-far"), 3_000_000);
}

function writeCompressible(root: string): void {
  const folder = join(root, "compressible");
  mkdirSync(folder);
  const random = new Random(77);
  const words = Array.from({ length: 300 }, () => Buffer.from(random.bytes(1 + random.integer(0, 9))).toString("base64"));
  const text = (length: number): Buffer => {
    const parts: string[] = [];
    for (let size = 0; size <= length + 1; size += parts.at(-1)!.length + 1) parts.push(random.pick(words));
    return Buffer.from(parts.join(" ")).subarray(0, length);
  };
  for (const size of [4097, 8192, 65_536, 131_071, 131_072, 131_073, 300_000, 2_000_000]) writeFileSync(join(folder, `text-${size}`), text(size));
  writeFileSync(join(folder, "zeros"), Buffer.alloc(700_000));
  writeFileSync(join(folder, "ones"), Buffer.alloc(700_001, 1));
  const mixed = openSync(join(folder, "mixed"), "w");
  for (let i = 0; i < 12; i++) writeSync(mixed, i % 2 === 0 ? text(100_000) : random.bytes(100_000), 0, 100_000, i * 100_000);
  closeSync(mixed);
  // Parts of compressed extents overwritten: what stays refers into the middle of them.
  const file = openSync(join(folder, "overwritten"), "w");
  writeSync(file, text(1_000_000));
  closeSync(file);
}

async function writeReflinks(root: string): Promise<void> {
  const folder = join(root, "reflinks");
  mkdirSync(folder);
  copyFileSync(join(root, "compressible", "text-2000000"), join(folder, "source"));
  await execa("sync", ["-f", folder]);
  const overwritten = openSync(join(root, "compressible", "overwritten"), "r+");
  for (let i = 0; i < 20; i++) writeSync(overwritten, new Random(i).bytes(5000), 0, 5000, i * 49_000 + 1234);
  closeSync(overwritten);
  await execa("cp", ["--reflink=always", join(folder, "source"), join(folder, "whole")]);
  // Ranges of other files, at other places.
  const script = [
    "import fcntl, struct, sys",
    "src = open(sys.argv[1], 'rb'); dst = open(sys.argv[2], 'wb')",
    "dst.write(b'before'); dst.flush()",
    "for i in range(12):",
    "    fcntl.ioctl(dst.fileno(), 0x4020940d, struct.pack('qQQQ', src.fileno(), i * 131072 + (i % 3) * 4096, 8192 * (i + 1), 1048576 + i * 200704))",
  ].join("\n");
  await execa("python3", ["-c", script, join(folder, "source"), join(folder, "ranges")]);
}

async function writeNoCow(root: string): Promise<void> {
  const folder = join(root, "nocow");
  mkdirSync(folder);
  await execa("chattr", ["+C", folder]);
  const packed = join(root, "property");
  writeFileSync(packed, "");
  // Refused where nothing is compressed.
  await execa("btrfs", ["property", "set", packed, "compression", "zlib"], { reject: false });
  writeFileSync(packed, "compressed on request ".repeat(10_000));
  writeFileSync(join(folder, "plain"), new Random(5).bytes(900_000));
  writeFileSync(join(folder, "overwritten"), new Random(6).bytes(900_000));
  await execa("sync", ["-f", folder]);
  const file = openSync(join(folder, "overwritten"), "r+");
  for (let i = 0; i < 10; i++) writeSync(file, `at ${i}`, i * 77_777);
  closeSync(file);
  await execa("fallocate", ["--length", "1000000", join(folder, "allocated")]);
  const allocated = openSync(join(folder, "allocated"), "r+");
  writeSync(allocated, "in the middle", 500_000);
  closeSync(allocated);
}

function writeManyLinks(root: string, count: number): void {
  const folder = join(root, "many-links");
  mkdirSync(folder);
  writeFileSync(join(folder, "one"), "many names");
  for (let i = 0; i < count; i++) linkSync(join(folder, "one"), join(folder, `${"another-name-".repeat(8)}${i}`));
}

async function writeSubvolumes(root: string): Promise<void> {
  const btrfs = async (...args: string[]): Promise<void> => void (await execa("btrfs", args));
  const volume = join(root, "subvolume");
  await btrfs("subvolume", "create", volume);
  writeFileSync(join(volume, "in the subvolume"), "before the snapshot");
  mkdirSync(join(volume, "folder"));
  await btrfs("subvolume", "create", join(volume, "folder", "nested"));
  writeFileSync(join(volume, "folder", "nested", "deep"), new Random(8).bytes(200_000));
  for (let i = 0; i < 300; i++) writeFileSync(join(volume, "folder", `file-${i}`), `${i}`.repeat(i));
  await btrfs("subvolume", "snapshot", volume, join(root, "snapshot"));
  await btrfs("subvolume", "snapshot", "-r", volume, join(root, "read-only snapshot"));
  writeFileSync(join(volume, "in the subvolume"), "after the snapshot");
  for (const name of readdirSync(join(volume, "folder")).filter((name) => name.endsWith("7"))) unlinkSync(join(volume, "folder", name));
  writeFileSync(join(root, "snapshot", "new"), "only in the snapshot");
  const gone = join(root, "gone");
  await btrfs("subvolume", "create", gone);
  writeFileSync(join(gone, "file"), "deleted with its subvolume");
  await btrfs("subvolume", "delete", gone);
}
