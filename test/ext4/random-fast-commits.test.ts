import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import { Contents } from "../../agent/filesystems/ext4/contents.ts";
import { applyFastCommits } from "../../agent/filesystems/ext4/fast-commit.ts";
import { noChanges } from "../../agent/filesystems/ext4/fast-commit-changes.ts";
import { Ext4FileSystem, type Parts } from "../../agent/filesystems/ext4/filesystem.ts";
import { GroupDescriptors } from "../../agent/filesystems/ext4/group-descriptors.ts";
import { InodeTable } from "../../agent/filesystems/ext4/inode-table.ts";
import type { FastCommitTag } from "../../agent/filesystems/ext4/jbd2/fast-commit-tags.ts";
import { parseSuperblock } from "../../agent/filesystems/ext4/superblock.ts";
import type { FileSystemFacts } from "../../agent/filesystems/filesystem.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";

const rounds = Number(process.env["PLUCK_MUTATIONS"] ?? 400);

// A checksum guards the fast commit area, so damage in it never gets this far; a hostile image has the right checksum.
describe("fast commits that nobody in their right mind would write", () => {
  let folder: string;
  let image: Buffer;
  beforeAll(async () => {
    requireTools("mke2fs");
    folder = await temporaryFolder();
    mkdirSync(join(folder, "tree", "folder"), { recursive: true });
    for (let i = 0; i < 40; i++) writeFileSync(join(folder, "tree", "folder", `file ${i}`), `${i}`.repeat(i * 20));
    writeFileSync(join(folder, "tree", "tiny"), "tiny");
    const path = join(folder, "image");
    await execa("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", "-N", "512", "-O", "^metadata_csum,inline_data,^resize_inode", "-d", join(folder, "tree"), path, "6M"]);
    image = readFileSync(path);
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test(`leave a filesystem that can be read, or a typed error (${rounds} times)`, async () => {
    for (let seed = 1; seed <= rounds; seed++) {
      const parts = openParts();
      const started = performance.now();
      try {
        await applyFastCommits(await randomTags(new Random(seed), parts.inodes), parts);
        const listing = await walkFileSystem(new Ext4FileSystem(parts, {} as FileSystemFacts), { maxEntries: 5000, maxContentBytes: 1024 * 1024 });
        for (const path of listing.keys()) expect(path, `seed ${seed}`).not.toMatch(/\0|\/\/|(^|\/)\.{1,2}(\/|$)/);
      } catch (error) {
        if (!(error instanceof DiskError)) throw new Error(`seed ${seed}`, { cause: error });
      }
      expect(performance.now() - started, `milliseconds of seed ${seed}`).toBeLessThan(20_000);
    }
  });

  function openParts(): Parts {
    const source = memorySource(image);
    const superblock = parseSuperblock(image.subarray(1024, 2048), image.length);
    const changes = noChanges();
    const groups = new GroupDescriptors(source, superblock);
    const inodes = new InodeTable(source, superblock, groups, changes);
    return { source, superblock, groups, inodes, contents: new Contents(source, superblock, changes), changes };
  }
});

async function randomTags(random: Random, inodes: InodeTable): Promise<FastCommitTag[]> {
  const tags: FastCommitTag[] = [];
  const anyInode = () => random.pick([2, 11, 12, 13, 14, 20, 30, random.integer(1, 100), random.integer(0, 2 ** 32)]);
  const anyLogical = () => random.pick([0, 1, 5, random.integer(0, 2 ** 32)]);
  for (let count = random.integer(1, 30); count > 0; count--) {
    switch (random.integer(0, 5)) {
      case 0: {
        const physical = random.pick([0, 1, 100, random.integer(0, 6000), random.integer(0, 2 ** 32), 2 ** 40]);
        tags.push({ kind: "add-range", inode: anyInode(), logical: anyLogical(), count: random.integer(0, 32_769), physical, unwritten: random.integer(0, 2) === 0 });
        break;
      }
      case 1:
        tags.push({ kind: "del-range", inode: anyInode(), logical: anyLogical(), count: random.integer(0, 2 ** 32) });
        break;
      case 2: {
        const bytes = Buffer.from((await inodes.readRaw(random.integer(11, 60))).bytes);
        if (random.integer(0, 3) === 0) bytes[random.integer(0, bytes.length)] = random.integer(0, 256);
        // Never the root: a filesystem without one is refused before anybody walks it.
        tags.push({ kind: "inode", inode: Math.max(3, anyInode()), bytes: bytes.subarray(0, random.pick([128, 160, bytes.length])) });
        break;
      }
      default: {
        const name = random.pick(["a", "folder", "tiny", "file 3", "x/y", "\0", ".", "..", `n${random.integer(0, 50)}`]);
        tags.push({ kind: random.pick(["create", "link", "unlink"] as const), parent: anyInode(), inode: anyInode(), name });
      }
    }
  }
  return tags;
}
