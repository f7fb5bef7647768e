import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { pdf, png } from "../../deploy/demo/content.ts";
import { makeRepository, seeded, type TestRepository } from "../system/repository.ts";

// What the tests of the file browser look at: the two-disk machine of the system tests, and one more
// with files to preview, names that mean harm, and a folder of 100,000 entries.

export const manyEntries = 100_000;
export const bigBytes = 70 * 1024 * 1024;

/** Names as a guest's user may give them. Each has to be shown, and do nothing. */
export const hostileNames: readonly string[] = [
  "<img src=x onerror=\"window.harmed=1\">",
  "<script>window.harmed=1<\\script>",
  "javascript:window.harmed=1",
  "\"><svg onload=window.harmed=1>",
  "${window.harmed=1}{{constructor.constructor('window.harmed=1')()}}",
  "new\nline\r\ttab",
  "bell\x07escape\x1b[31m",
  "txt.\u202eexe",
  "zero\u200bwidth\u2066isolate",
  " leading and trailing ",
  "quote's \"double\" $(touch harmed) `x`",
  "-rf",
  "100% %41",
  "x".repeat(255),
];

export const utf16Text = "[Version]\r\nname=Größe\r\n";
export const latin1Text = Buffer.from([0x47, 0x72, 0xfc, 0xdf, 0x65, 0x0a]);

export interface FilesRepository extends TestRepository {
  /** The folder that disk 0 of the machine "shelf" was made from. */
  readonly shelf: string;
}

export async function makeFilesRepository(folder: string): Promise<FilesRepository> {
  const repository = await makeRepository(folder);
  await mkdir(join(folder, "made"));
  const shelf = await addDisk(repository.path, 0, join(folder, "made"), makeShelf);
  await rm(await addDisk(repository.path, 1, join(folder, "made"), makeMany), { recursive: true });
  return { ...repository, shelf };
}

/** @returns the folder that it was made from */
async function addDisk(repository: string, index: number, scratch: string, make: (tree: string, image: string) => Promise<void>): Promise<string> {
  const tree = join(scratch, `tree${index}`);
  const image = join(scratch, "image");
  const target = join(repository, `shelf/disk-${index}/shelf-20251008-120000.qcow2`);
  await mkdir(tree);
  await make(tree, image);
  await mkdir(dirname(target), { recursive: true });
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", image, target]);
  await rm(image);
  return tree;
}

async function makeShelf(tree: string, image: string): Promise<void> {
  await mkdir(join(tree, "hostile"));
  for (const name of hostileNames) await writeFile(join(tree, "hostile", name), `${name}\n`);
  await writeFile(Buffer.concat([Buffer.from(join(tree, "hostile") + "/gr"), Buffer.from([0xfc, 0xdf])]), "not UTF-8\n");
  await mkdir(join(tree, "shown"));
  const shown: Record<string, string | Uint8Array> = {
    "picture.png": png("files-test", 64, 48),
    "lies.txt": png("files-test", 8, 8),
    "paper.pdf": pdf("A page"),
    "drawing.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" onload="window.harmed=1"><script>parent.harmed=1</script><rect width="20" height="20"/></svg>',
    "page.html": "<!doctype html><script>window.harmed=1</script>\n",
    "utf16.ini": Buffer.from(`\ufeff${utf16Text}`, "utf16le"),
    "latin1.txt": latin1Text,
    "bytes.bin": seeded(70_000, 9),
    "long.txt": "a line of text\n".repeat(40_000),
    empty: "",
  };
  for (const [name, contents] of Object.entries(shown)) await writeFile(join(tree, "shown", name), contents);
  // Mostly a hole: made quickly, and no less of a download.
  const big = await open(join(tree, "big.bin"), "w");
  await big.write(seeded(300_000, 21), 0, 300_000, 0);
  await big.write(seeded(300_000, 22), 0, 300_000, bigBytes - 300_000);
  await big.close();
  await mkdir(join(tree, "damaged"));
  await writeFile(join(tree, "damaged/whole.txt"), "whole\n");
  await writeFile(join(tree, "damaged/broken.txt"), "broken\n");
  await execa("mke2fs", ["-q", "-t", "ext4", "-F", "-d", tree, "-L", "shelf", image, "24m"]);
  await breakInode(image, "/damaged/broken.txt");
}

/** Changes a byte of an inode, so that its checksum no longer fits. */
async function breakInode(image: string, path: string): Promise<void> {
  const { stdout } = await execa("debugfs", ["-R", `imap ${path}`, image]);
  const found = /located at block (\d+), offset 0x([0-9a-f]+)/.exec(stdout);
  const { stdout: header } = await execa("dumpe2fs", ["-h", image]);
  const blockBytes = Number(/Block size:\s+(\d+)/.exec(header)?.[1]);
  if (found === null || Number.isNaN(blockBytes)) throw new Error(`no inode of ${path}: ${stdout}`);
  const file = await open(image, "r+");
  // Of its time of last access: nothing else is wrong with it.
  await file.write(Buffer.from([0x5a]), 0, 1, Number(found[1]) * blockBytes + Number.parseInt(found[2] ?? "", 16) + 8);
  await file.close();
}

/** squashfs: mke2fs -d takes minutes for so many names in one folder. */
async function makeMany(tree: string, image: string): Promise<void> {
  mkdirSync(join(tree, "many"));
  for (let index = 0; index < manyEntries; index += 1) writeFileSync(join(tree, "many", nameOfMany(index)), "");
  await execa("mksquashfs", [tree, image, "-quiet", "-no-progress", "-all-root"]);
}

export function nameOfMany(index: number): string {
  return `entry-${index}.dat`;
}
