import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { ext4 } from "../../agent/filesystems/ext4/driver.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { imageVariants, makeFilledImage, testUuid } from "./image-variants.ts";

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
      const expected = await withLoopMount(image, { type: "ext4" }, (directory) => walkKernelMount(directory));
      const source = openImageSource(image);
      try {
        const fs = await ext4.open(cached(source));
        const actual: Listing = await walkFileSystem(fs);
        expect(compareListings(expected, actual)).toEqual([]);
        expect(actual.size).toBeGreaterThan(700);
        expect(fs.facts).toMatchObject({ type: variant.type, label: "pluck test", uuid: testUuid, state: "clean", blockSizeBytes: variant.blockSizeBytes });
        const { stdout } = await execa("blkid", ["-p", "-s", "TYPE", "-o", "value", image]);
        expect(fs.facts.type).toBe(stdout.trim());
      } finally {
        await source.close();
        await rm(image, { force: true });
      }
    });
  }
});
