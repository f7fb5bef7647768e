import { chmodSync, lstatSync, statfsSync, utimesSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { ext4 } from "../../agent/filesystems/ext4/driver.ts";
import type { FileSystem, Timestamp } from "../../agent/filesystems/filesystem.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { imageVariants, makeFilledImage, makeImage, testUuid } from "./image-variants.ts";

// What Linux wrote, the reader shows as Linux shows it: every name, attribute, target and byte.
describeAsRoot("ext2, ext3 and ext4 as Linux mounts them", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mke2fs", "losetup", "setfattr", "getfattr", "setfacl", "fallocate", "blkid");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  for (const [index, variant] of imageVariants.entries()) {
    test(variant.name, async () => {
      const image = join(folder, `${index}.img`);
      await makeFilledImage(image, variant);
      let usedBytes = 0;
      const expected = await withLoopMount(image, { type: "ext4" }, (directory) => {
        const { blocks, bfree, bsize } = statfsSync(directory);
        usedBytes = (blocks - bfree) * bsize;
        return walkKernelMount(directory);
      });
      const source = openImageSource(image);
      try {
        const fs = await ext4.open(cached(source));
        const actual: Listing = await walkFileSystem(fs);
        expect(compareListings(expected, actual)).toEqual([]);
        expect(actual.size).toBeGreaterThan(700);
        expect(fs.facts).toMatchObject({ type: variant.type, label: "pluck test", uuid: testUuid, state: "clean", blockSizeBytes: variant.blockSizeBytes });
        expect(fs.facts.usedBytes).toBe(usedBytes);
        const { stdout } = await execa("blkid", ["-p", "-s", "TYPE", "-o", "value", image]);
        expect(fs.facts.type).toBe(stdout.trim());
      } finally {
        await source.close();
        await rm(image, { force: true });
      }
    });
  }

  test("access, change and creation time", async () => {
    const image = join(folder, "times.img");
    await makeImage(image, { name: "times", type: "ext4", blockSizeBytes: 4096, arguments: ["-t", "ext4"], sizeMegabytes: 16 });
    const names = ["past", "far-future", "plain"];
    await withLoopMount(image, { readOnly: false, type: "ext4" }, async (directory) => {
      for (const name of names) writeFileSync(join(directory, name), name);
      utimesSync(join(directory, "past"), -123_456.25, 1.25e9);
      utimesSync(join(directory, "far-future"), 2 ** 33 + 0.5, 2 ** 32 + 0.75);
      // The change time is that of the last of these, the creation time that of the first.
      await new Promise((resolve) => setTimeout(resolve, 20));
      chmodSync(join(directory, "plain"), 0o600);
    });
    const expected = await withLoopMount(image, { type: "ext4" }, async (directory) =>
      names.map((name) => {
        const { atimeNs, ctimeNs, birthtimeNs } = lstatSync(join(directory, name), { bigint: true });
        return [atimeNs, ctimeNs, birthtimeNs];
      }),
    );
    const source = openImageSource(image);
    const fs = (await ext4.open(cached(source))) as FileSystem<number>;
    const toNs = (time: Timestamp | undefined) => BigInt(time!.seconds) * 1_000_000_000n + BigInt(time!.nanoseconds);
    const actual = [];
    for (const name of names) {
      const { accessedAt, changedAt, createdAt } = await fs.details((await fs.lookup(fs.root, name))!.node);
      actual.push([toNs(accessedAt), toNs(changedAt), toNs(createdAt)]);
    }
    await source.close();
    expect(actual).toEqual(expected);
    expect(new Set(expected[2]).size).toBeGreaterThan(1);
  });
});
