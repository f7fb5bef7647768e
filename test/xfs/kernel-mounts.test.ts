import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import type { Attributes } from "../../agent/filesystems/filesystem.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import type { XfsFileSystem } from "../../agent/filesystems/xfs/filesystem.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { readContents } from "../tools/read-contents.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { imageVariants, makeImage, testUuid } from "./image-variants.ts";
import { populateXfs } from "./populate.ts";

// What Linux wrote, the reader shows as Linux shows it: every name, attribute, target and byte.
describeAsRoot("XFS as Linux mounts it", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.xfs", "xfs_io", "losetup", "setfattr", "getfattr", "setfacl", "fallocate");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  for (const [index, variant] of imageVariants.entries()) {
    test(variant.name, async () => {
      const image = join(folder, `${index}.img`);
      await makeImage(image, variant, testUuid);
      const loop = variant.sectorSizeBytes === undefined ? {} : { sectorSize: variant.sectorSizeBytes };
      await withLoopMount(image, { ...loop, readOnly: false, type: "xfs" }, (directory) => populateXfs(directory, variant.blockSizeBytes));
      const expected = await withLoopMount(image, { ...loop, type: "xfs" }, (directory) => walkKernelMount(directory));
      const source = openImageSource(image);
      try {
        const fs = await xfs.open(cached(source));
        const actual: Listing = await walkFileSystem(fs);
        expect(compareListings(expected, actual)).toEqual([]);
        expect(actual.size).toBeGreaterThan(3500);
        expect(fs.facts).toMatchObject({ type: "xfs", label: "pluck test", uuid: testUuid, state: "clean", blockSizeBytes: variant.blockSizeBytes });
      } finally {
        await source.close();
        await rm(image, { force: true });
      }
    });
  }

  test("20 TiB: inode numbers of more than 32 bits, and files of exabytes", async () => {
    const image = join(folder, "large.img");
    await writeFile(image, "");
    await truncate(image, 20 * 2 ** 40);
    await execa("mkfs.xfs", ["-q", "-f", "-l", "size=64m", "-i", "size=1024", image]);
    const exabytes = 2n ** 63n - 1n;
    await withLoopMount(image, { readOnly: false, type: "xfs" }, async (directory) => {
      for (let i = 0; i < 40; i++) {
        mkdirSync(join(directory, `folder-${i}`));
        writeFileSync(join(directory, `folder-${i}`, "file"), `contents ${i}`);
        mkdirSync(join(directory, `folder-${i}`, "deeper"));
      }
      await execa("truncate", ["--size", String(exabytes), join(directory, "exabytes")]);
      const file = openSync(join(directory, "petabytes"), "w");
      ftruncateSync(file, 2 ** 52);
      writeSync(file, "far out", 2 ** 51 + 77);
      closeSync(file);
    });
    // Linux would read these two to the end to hash them.
    const unhashed = new Set(["exabytes", "petabytes"]);
    const expected = await withLoopMount(image, { type: "xfs" }, async (directory) => {
      const names = (await execa("find", [directory, "-mindepth", "1", "-printf", "%P %i %s %T@\\n"])).stdout;
      return new Map(names.split("\n").map((line) => line.split(" ")).map(([path, ...rest]) => [path!, rest.join(" ")]));
    });
    const source = openImageSource(image);
    try {
      const fs = (await xfs.open(cached(source))) as XfsFileSystem;
      const actual = new Map<string, string>();
      const visit = async (directory: number, prefix: string): Promise<void> => {
        for await (const batch of fs.readDirectory(directory)) {
          for (const [position, found] of (await fs.stat(batch.map((entry) => entry.node))).entries()) {
            const { id, size, mtimeSeconds, mtimeNanoseconds, type } = found as Attributes;
            const path = prefix + batch[position]!.name;
            actual.set(path, `${id} ${size} ${mtimeSeconds}.${String(mtimeNanoseconds).padStart(9, "0")}0`);
            if (type === "directory") await visit(batch[position]!.node, `${path}/`);
            else if (!unhashed.has(path)) expect((await readContents(fs, batch[position]!.node, 0, Number(size))).toString()).toMatch(/^contents \d+$/);
          }
        }
      };
      await visit(fs.root, "");
      expect(actual).toEqual(expected);
      expect(Math.max(...[...actual.values()].map((line) => Number(line.split(" ")[0])))).toBeGreaterThan(2 ** 32);
      const far = (await fs.lookup(fs.root, "petabytes"))!.node;
      expect((await readContents(fs, far, 2 ** 51 + 77, 7)).toString()).toBe("far out");
      const huge = (await fs.lookup(fs.root, "exabytes"))!.node;
      expect(await fs.extents(huge, Number.MAX_SAFE_INTEGER - 4096, 4096)).toMatchObject([{ kind: "hole", length: 4096 }]);
    } finally {
      await source.close();
      await rm(image, { force: true });
    }
  });
});
