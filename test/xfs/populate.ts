import { closeSync, fsyncSync, mkdirSync, openSync, symlinkSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { populate } from "../ext4/populate.ts";
import { Random } from "../tools/random.ts";

/** Adds what XFS stores in ways of its own to what every Unix filesystem stores. */
export async function populateXfs(root: string, blockSizeBytes: number): Promise<void> {
  // Link targets of one block at most, and XFS takes up to 1023 bytes.
  await populate(root, { blockSizeBytes: Math.min(blockSizeBytes, 1024), largeAttributes: true, manyEntries: 900, largeDevice: [511, 2 ** 18 - 1] });
  writeManyExtents(root, blockSizeBytes);
  writeDirectories(root);
  await writeManyAttributes(root);
  await writeShared(root, blockSizeBytes);
}

/** Every second block: a tree of extents, several levels of it where blocks are small. */
function writeManyExtents(root: string, blockSizeBytes: number): void {
  const teeth = blockSizeBytes <= 2048 ? 3000 : 1200;
  const blockBytes = Math.min(blockSizeBytes, 16384);
  const comb = openSync(join(root, "many-extents"), "w");
  for (let i = 0; i < teeth; i++) writeSync(comb, `tooth ${i}`, i * 2 * blockBytes);
  fsyncSync(comb);
  closeSync(comb);
}

/** In the inode, one block, data blocks with a leaf, with nodes; then with blocks given back in between. */
function writeDirectories(root: string): void {
  for (const count of [4, 30, 100, 600, 2500]) {
    const folder = join(root, `directory-${count}`);
    mkdirSync(folder);
    for (let i = 0; i < count; i++) symlinkSync("t", join(folder, `${i}-${"name".repeat(i % 11)}`));
  }
  const thinned = join(root, "directory-thinned");
  mkdirSync(thinned);
  for (let i = 0; i < 2000; i++) symlinkSync("t", join(thinned, `${i}-${"name".repeat(10)}`));
  for (let i = 0; i < 1900; i++) if (i % 500 > 3) unlinkSync(join(thinned, `${i}-${"name".repeat(10)}`));
}

async function writeManyAttributes(root: string): Promise<void> {
  const random = new Random(3);
  for (const [count, bytes] of [[20, 30], [60, 120], [400, 200], [120, 3000]] as const) {
    const file = join(root, `attributes-${count}`);
    writeFileSync(file, "");
    const lines = [`# file: ${file}`];
    for (let i = 0; i < count; i++) lines.push(`user.attribute.${i}=0s${random.bytes(random.integer(0, bytes)).toString("base64")}`);
    await execa("setfattr", ["--restore=-"], { input: `${lines.join("\n")}\n\n` });
  }
}

/** Blocks that two files share, until one of them is written to. */
async function writeShared(root: string, blockSizeBytes: number): Promise<void> {
  const original = join(root, "shared-original");
  writeFileSync(original, new Random(5).bytes(blockSizeBytes * 20 + 99));
  const copy = join(root, "shared-copy");
  await execa("cp", ["--reflink=auto", original, copy]);
  const file = openSync(copy, "r+");
  for (const block of [2, 3, 9, 20]) writeSync(file, `changed ${block}`, block * blockSizeBytes + 5);
  closeSync(file);
  const project = join(root, "project");
  writeFileSync(project, "");
  await execa("xfs_io", ["-c", "extsize 65536", "-c", "chproj 70000", project]);
  writeFileSync(project, "of a project");
}
