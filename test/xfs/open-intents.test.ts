import { closeSync, ftruncateSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { findBlockOffset } from "../../agent/filesystems/xfs/addresses.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import type { XfsFileSystem } from "../../agent/filesystems/xfs/filesystem.ts";
import { findLogExtent } from "../../agent/filesystems/xfs/log/extent.ts";
import { LogRing } from "../../agent/filesystems/xfs/log/ring.ts";
import { parseSuperblock, type Superblock } from "../../agent/filesystems/xfs/superblock.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeImage } from "./image-variants.ts";
import { appendTransaction, makeAttributeIntent, makeMapDone, makeMapIntent, makeSuperblockItem, type LogPlace } from "./log-writer.ts";

// Work that a transaction announced and a later one would have done: Linux does it when it mounts. A crash at that
// very moment is rare, so the announcement is written into the log here, and Linux is asked what it makes of it.
describeAsRoot("XFS work announced in the log", () => {
  let folder: string;
  let image: string;
  let log: LogPlace;
  let superblock: Superblock;
  const inodes = { full: 0, hollow: 0 };

  beforeAll(async () => {
    requireTools("mkfs.xfs", "xfs_io", "xfs_db", "losetup", "getfattr", "setfattr");
    folder = await temporaryFolder();
    image = join(folder, "dirty.img");
    await makeImage(image, { name: "dirty", blockSizeBytes: 4096, arguments: ["--unsupported", "-l", "size=7m"], sizeMegabytes: 64 });
    await withLoopMount(image, { readOnly: false, type: "xfs" }, async (directory) => {
      writeFileSync(join(directory, "full"), new Random(1).bytes(10 * 4096));
      await execa("setfattr", ["-n", "user.there", "-v", "before", join(directory, "full")]);
      const hollow = openSync(join(directory, "hollow"), "w");
      ftruncateSync(hollow, 20 * 4096);
      closeSync(hollow);
      for (const name of ["full", "hollow"] as const) inodes[name] = statSync(join(directory, name)).ino;
      await execa("sync", ["-f", directory]);
      await execa("xfs_io", ["-x", "-c", "shutdown -f", directory]);
    });
    const source = openImageSource(image);
    try {
      superblock = parseSuperblock(source.read(0, 32768) as Uint8Array, source.sizeBytes);
      const offsetBytes = findBlockOffset(superblock, superblock.logStart, superblock.logBlocks)!;
      const ring = new LogRing(source, superblock, offsetBytes);
      log = { offsetBytes, blockCount: ring.blockCount, head: (await findLogExtent(ring)).head };
    } finally {
      await source.close();
    }
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  /** The number of the block that holds a block of a file. */
  async function findBlock(inode: number, logical: number): Promise<number> {
    const source = openImageSource(image);
    try {
      const fs = (await xfs.open(cached(source))) as XfsFileSystem;
      const [extent] = await fs.extents(inode, logical * 4096, 4096);
      if (extent?.kind !== "data") throw new Error("no data there");
      const block = extent.sourceOffset / 4096;
      const group = Math.floor(block / superblock.groupBlocks);
      return group * 2 ** superblock.groupBlockLog + (block - group * superblock.groupBlocks);
    } finally {
      await source.close();
    }
  }

  async function expectAsLinux(items: readonly (readonly Buffer[])[], prepare?: (copy: string) => Promise<void>): Promise<void> {
    const copy = join(folder, "copy.img");
    await copyFile(image, copy);
    await prepare?.(copy);
    appendTransaction(copy, log, items);
    const source = openImageSource(copy);
    try {
      const before = await walkFileSystem(await xfs.open(cached(openImageSource(image))));
      const fs = await xfs.open(cached(source));
      expect(fs.facts.state).toBe("recovered");
      const actual = await walkFileSystem(fs);
      const expected = await withLoopMount(copy, { readOnly: false, type: "xfs" }, (directory) => walkKernelMount(directory));
      expect(compareListings(expected, actual)).toEqual([]);
      expect(compareListings(before, actual)).not.toEqual([]);
    } finally {
      await source.close();
    }
  }

  test("shows mappings that were to be made and taken away", async () => {
    await expectAsLinux([
      makeMapIntent(1, inodes.full, "unmap", 2, await findBlock(inodes.full, 2), 3),
      makeMapIntent(2, inodes.hollow, "map", 7, await findBlock(inodes.full, 2), 3),
      makeMapIntent(3, inodes.hollow, "map", 12, await findBlock(inodes.full, 8), 1),
    ]);
  });

  test("leaves out those that were done", async () => {
    await expectAsLinux([
      makeMapIntent(1, inodes.full, "unmap", 0, await findBlock(inodes.full, 0), 1),
      makeMapIntent(2, inodes.full, "unmap", 5, await findBlock(inodes.full, 5), 1),
      makeMapDone(1),
    ]);
  });

  test("shows attributes that were to be set and removed", async () => {
    // Linux replays such items only where the superblock allows them: the one on the disk, and the one in the log.
    const chunk = Buffer.alloc(128);
    const allow = async (copy: string): Promise<void> => {
      await execa("xfs_db", ["-x", "-c", "sb 0", "-c", "write -d features_log_incompat 1", copy]);
      const descriptor = openSync(copy, "r");
      readSync(descriptor, chunk, 0, chunk.length, 128);
      closeSync(descriptor);
    };
    await expectAsLinux([
      makeSuperblockItem(chunk),
      makeAttributeIntent(1, inodes.full, "there", undefined),
      makeAttributeIntent(2, inodes.hollow, "new", "the value of it"),
    ], allow);
  });
});
