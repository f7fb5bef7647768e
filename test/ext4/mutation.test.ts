import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe } from "vitest";
import { describeMutations } from "../contract/mutations.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { Random } from "../tools/random.ts";

// Checksums catch most damage before it does anything. These images have none, so that the reader's own
// bounds are what stands between a wild number and a hang.
describe("images without checksums", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mke2fs", "debugfs");
    folder = await temporaryFolder();
    makeTree(join(folder, "tree"));
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  const images: readonly (readonly [name: string, options: readonly string[], finish?: (image: string) => Promise<void>])[] = [
    ["ext2", ["-t", "ext2", "-b", "1024"]],
    ["ext4 with inline_data and ea_inode", ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,inline_data,ea_inode,^resize_inode"], addAttributes],
    ["ext4 with a log to replay", ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^resize_inode", "-J", "size=1"], leaveLog],
    ["ext4 with a checksummed log to replay", ["-t", "ext4", "-b", "1024", "-O", "metadata_csum,^resize_inode", "-J", "size=1"], leaveLog],
  ];
  for (const [index, [name, options, finish]] of images.entries()) {
    describe(name, () => {
      const image = () => join(folder, `${index}.img`);
      beforeAll(async () => {
        await execa("mke2fs", ["-q", "-F", "-N", "512", ...options, "-d", join(folder, "tree"), image(), "6M"]);
        await finish?.(image());
      });
      describeMutations(image);
    });
  }
});

function makeTree(root: string): void {
  const random = new Random(9);
  mkdirSync(join(root, "folder", "deeper"), { recursive: true });
  // Little contents, so that nearly all damage hits structures; blocks far apart, so that there are many of those.
  for (let i = 0; i < 90; i++) writeFileSync(join(root, "folder", `file number ${i}`), random.bytes(i % 9));
  const scattered = openSync(join(root, "folder", "deeper", "scattered"), "w");
  for (let i = 0; i < 60; i++) writeSync(scattered, `at ${i}`, i * 9 * 1024);
  writeSync(scattered, "far", 70 * 1024 * 1024);
  closeSync(scattered);
  writeFileSync(join(root, "tiny"), "tiny");
  symlinkSync("short", join(root, "short"));
  symlinkSync("l".repeat(100), join(root, "long"));
}

async function addAttributes(image: string): Promise<void> {
  for (const [name, length] of [["user.small", 5], ["user.medium", 500], ["user.large", 5000]] as const) {
    const value = join(image, "..", "value");
    writeFileSync(value, "v".repeat(length));
    await execa("debugfs", ["-w", "-R", `ea_set -f ${value} /tiny ${name}`, image]);
  }
}

/** Three transactions, one of them of revoked blocks, written into the journal but not replayed. */
async function leaveLog(image: string): Promise<void> {
  const blocks = join(image, "..", "blocks");
  writeFileSync(blocks, new Random(4).bytes(6 * 1024));
  const script = join(image, "..", "script");
  const commands = ["jo", `jw -b 4000-4005 ${blocks}`, "jw -r 4001-4002", `jw -b 4003-4004 ${blocks}`, "jc", "feature needs_recovery"];
  writeFileSync(script, `${commands.join("\n")}\n`);
  await execa("debugfs", ["-w", "-f", script, image]);
}
