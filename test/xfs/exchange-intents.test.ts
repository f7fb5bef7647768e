import { closeSync, ftruncateSync, openSync, statSync, writeFileSync, writeSync } from "node:fs";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { findBlockOffset } from "../../agent/filesystems/xfs/addresses.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import { findLogExtent } from "../../agent/filesystems/xfs/log/extent.ts";
import { LogRing } from "../../agent/filesystems/xfs/log/ring.ts";
import { parseSuperblock } from "../../agent/filesystems/xfs/superblock.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeImage } from "./image-variants.ts";
import { appendTransaction, type ExchangeIntent, makeExchangeDone, makeExchangeIntent, type LogPlace } from "./log-writer.ts";

const block = 4096;
/** XFS_SB_FEAT_INCOMPAT_EXCHRANGE beside what mkfs.xfs sets. mkfs.xfs itself knows it from version 6.10 on. */
const exchangeFeature = 0x40;

// Since Linux 6.10 two files can exchange blocks, in steps that the log announces. The announcement of what is left is
// written into the log here, and Linux is asked what it makes of it.
describeAsRoot("XFS exchanges of blocks cut off half-way", () => {
  let folder: string;
  let image: string;
  let log: LogPlace;
  /** Set where this kernel knows no such filesystem. */
  let unknownToKernel: string | undefined;
  const names = ["one", "two"] as const;
  const inodes: [number, number] = [0, 0];
  const generations: [number, number] = [0, 0];

  beforeAll(async () => {
    requireTools("mkfs.xfs", "xfs_io", "xfs_db", "losetup", "getfattr", "lsattr");
    folder = await temporaryFolder();
    image = join(folder, "dirty.img");
    await makeImage(image, { name: "dirty", blockSizeBytes: block, arguments: ["--unsupported", "-l", "size=7m"], sizeMegabytes: 64 });
    const { stdout } = await execa("xfs_db", ["-c", "sb 0", "-c", "print features_incompat", image]);
    const features = Number(/0x[0-9a-f]+/.exec(stdout)![0]) | exchangeFeature;
    await execa("xfs_db", ["-x", "-c", "sb 0", "-c", `write -d features_incompat 0x${features.toString(16)}`, image]);
    let isMounted = false;
    try {
      await withLoopMount(image, { readOnly: false, type: "xfs" }, async (directory) => {
        isMounted = true;
        await fill(directory);
        await execa("sync", ["-f", directory]);
        await execa("xfs_io", ["-x", "-c", "shutdown -f", directory]);
      });
    } catch (error) {
      if (isMounted) throw error;
      unknownToKernel = `passed over: this kernel mounts no XFS with exchanges of blocks: ${(error as Error).message.slice(0, 200)}`;
      return;
    }
    const source = openImageSource(image);
    try {
      const superblock = parseSuperblock(source.read(0, 32768) as Uint8Array, source.sizeBytes);
      const offsetBytes = findBlockOffset(superblock, superblock.logStart, superblock.logBlocks)!;
      const ring = new LogRing(source, superblock, offsetBytes);
      log = { offsetBytes, blockCount: ring.blockCount, head: (await findLogExtent(ring)).head };
    } finally {
      await source.close();
    }
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  /** Files of 24 and 17 blocks, with holes and blocks that were never written. */
  async function fill(directory: string): Promise<void> {
    const random = new Random(1);
    writeFileSync(join(directory, "one"), random.bytes(9 * block + 100));
    const one = openSync(join(directory, "one"), "r+");
    writeSync(one, random.bytes(3 * block), 0, undefined, 14 * block);
    ftruncateSync(one, 24 * block - 50);
    closeSync(one);
    await execa("xfs_io", ["-c", `falloc ${20 * block} ${3 * block}`, join(directory, "one")]);
    writeFileSync(join(directory, "two"), random.bytes(17 * block - 1234));
    for (const [side, name] of names.entries()) {
      inodes[side] = statSync(join(directory, name)).ino;
      const { stdout } = await execa("lsattr", ["-v", join(directory, name)]);
      generations[side] = Number(stdout.trim().split(/\s+/)[0]);
    }
  }

  type Case = Omit<ExchangeIntent, "inodes" | "generations">;

  async function withIntent(items: readonly (readonly Buffer[])[], use: (copy: string) => Promise<void>): Promise<void> {
    const copy = join(folder, "copy.img");
    await copyFile(image, copy);
    appendTransaction(copy, log, items);
    await use(copy);
  }

  const intent = (one: Case): Buffer[] => makeExchangeIntent(1, { inodes, generations, ...one });

  test.for<[string, Case, boolean]>([
    ["of all blocks, with their sizes", { starts: [0, 0], blockCount: 24, flags: 2, sizes: [17 * block - 1234, 24 * block - 50] }, true],
    ["of what is left of them, with their sizes", { starts: [5, 5], blockCount: 19, flags: 2, sizes: [17 * block - 1234, 24 * block - 50] }, true],
    ["of a range at different places", { starts: [8, 2], blockCount: 7, flags: 0 }, true],
    ["of what the first has written only", { starts: [6, 3], blockCount: 12, flags: 4 }, true],
    ["of blocks that neither of them has", { starts: [18, 100], blockCount: 2, flags: 0 }, false],
  ])("shows an exchange %s as Linux finishes it", async ([, one, changes], { skip }) => {
    skip(unknownToKernel !== undefined, unknownToKernel);
    await withIntent([intent(one)], async (copy) => {
      const source = openImageSource(copy);
      try {
        const before = await walkFileSystem(await xfs.open(cached(openImageSource(image))));
        const fs = await xfs.open(cached(source));
        expect(fs.facts.state).toBe("recovered");
        const actual = await walkFileSystem(fs);
        const expected = await withLoopMount(copy, { readOnly: false, type: "xfs" }, (directory) => walkKernelMount(directory));
        expect(compareListings(expected, actual)).toEqual([]);
        expect(compareListings(before, actual).length > 0).toBe(changes);
      } finally {
        await source.close();
      }
    });
  });

  test("leaves out an exchange that was done", async ({ skip }) => {
    skip(unknownToKernel !== undefined, unknownToKernel);
    await withIntent([intent({ starts: [0, 0], blockCount: 24, flags: 0 }), makeExchangeDone(1)], async (copy) => {
      const before = await walkFileSystem(await xfs.open(cached(openImageSource(image))));
      expect(compareListings(before, await walkFileSystem(await xfs.open(cached(openImageSource(copy)))))).toEqual([]);
    });
  });

  test("refuses an inode of another generation, as Linux does", async ({ skip }) => {
    skip(unknownToKernel !== undefined, unknownToKernel);
    const other: [number, number] = [(generations[0] ^ 1) >>> 0, generations[1]];
    await withIntent([makeExchangeIntent(1, { inodes, generations: other, starts: [0, 0], blockCount: 3, flags: 0 })], async (copy) => {
      await expect(xfs.open(cached(openImageSource(copy)))).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("generation") });
      await expect(withLoopMount(copy, { readOnly: false, type: "xfs" }, async () => undefined)).rejects.toThrow();
    });
  });

  test.for([["of attributes", 1, "attributes"], ["with flags that it doesn't know", 0x100, "flags 0x100"]] as const)("refuses the contents of both files by name after an exchange %s", async ([, flags, message], { skip }) => {
    skip(unknownToKernel !== undefined, unknownToKernel);
    await withIntent([intent({ starts: [0, 0], blockCount: 3, flags })], async (copy) => {
      const fs = await xfs.open(cached(openImageSource(copy)));
      for (const attributes of await fs.stat(inodes)) {
        expect(attributes).toMatchObject({ type: "file", contentError: { code: "unsupported", message: expect.stringContaining(message) } });
      }
    });
  });
});
