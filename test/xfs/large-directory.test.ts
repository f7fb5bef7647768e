import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { cached } from "../../agent/blocks/cached.ts";
import { counting } from "../../agent/blocks/counting.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import type { XfsFileSystem } from "../../agent/filesystems/xfs/filesystem.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { makeImage } from "./image-variants.ts";

const entryCount = 20_000;

// What a listing costs: reads that grow with the bytes of the directory and the inodes, not with the entries.
describeAsRoot(`a directory of ${entryCount} entries`, () => {
  let folder: string;
  let image: string;
  beforeAll(async () => {
    requireTools("mkfs.xfs", "losetup");
    folder = await temporaryFolder();
    image = join(folder, "large.img");
    await makeImage(image, { name: "large", blockSizeBytes: 4096, arguments: [] });
    await withLoopMount(image, { readOnly: false, type: "xfs" }, async (directory) => {
      mkdirSync(join(directory, "many"));
      for (let i = 0; i < entryCount; i++) writeFileSync(join(directory, "many", `file-number-${i}`), i % 10 === 0 ? `contents of ${i}` : "");
    });
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test("is listed with attributes in few reads and few batches", async () => {
    const source = openImageSource(image);
    try {
      const counted = counting(source);
      const fs = (await xfs.open(cached(counted))) as XfsFileSystem;
      // A log that was left clean is known by its end.
      expect(counted.bytesRead).toBeLessThan(2 * 1024 * 1024);
      const many = (await fs.lookup(fs.root, "many"))!.node;
      counted.reset();
      let entries = 0;
      let batches = 0;
      for await (const batch of fs.readDirectory(many)) {
        const attributes = await fs.stat(batch.map((entry) => entry.node));
        expect(attributes.filter((found) => found instanceof DiskError)).toEqual([]);
        entries += batch.length;
        batches += 1;
      }
      expect(entries).toBe(entryCount);
      // 10 MB of inodes, a read for each 64 KiB of them, and 0.8 MB of names in larger pieces.
      expect(batches).toBeLessThan(6);
      expect(counted.reads).toBeLessThan(200);
      expect(counted.bytesRead).toBeLessThan(16 * 1024 * 1024);
    } finally {
      await source.close();
    }
  });

  test("gives the extents of its files without a promise once their metadata is cached", async () => {
    const source = openImageSource(image);
    try {
      // A source that never answers at once, as the network doesn't.
      const slow: BlockSource = { ...source, read: async (offset, length) => source.read(offset, length) };
      const fs = (await xfs.open(cached(slow))) as XfsFileSystem;
      const many = (await fs.lookup(fs.root, "many"))!.node;
      const file = (await fs.lookup(many, "file-number-10000"))!.node;
      expect(fs.extents(file, 0, 17)).toBeInstanceOf(Promise);
      await fs.stat([file]);
      expect(fs.extents(file, 0, 17)).not.toBeInstanceOf(Promise);
    } finally {
      await source.close();
    }
  });
});
