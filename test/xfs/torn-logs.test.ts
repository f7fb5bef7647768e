import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { findBlockOffset } from "../../agent/filesystems/xfs/addresses.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import { findLogExtent } from "../../agent/filesystems/xfs/log/extent.ts";
import { LogRing } from "../../agent/filesystems/xfs/log/ring.ts";
import { parseSuperblock } from "../../agent/filesystems/xfs/superblock.ts";
import { Churn } from "../ext4/churn.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeImage } from "./image-variants.ts";

/** PLUCK_XFS_TEARS=300 for a long run. */
const tears = Number(process.env["PLUCK_XFS_TEARS"] ?? 12);
const seed = Number(process.env["PLUCK_XFS_SEED"] ?? 1);
const logBlockBytes = 512;

// Writes to the log that were under way when the machine stopped are there in part, or not at all. Linux drops such
// records when they are the newest ones, and refuses the mount when they are not; so does the reader.
describeAsRoot("XFS logs with damaged records", () => {
  let folder: string;
  let image: string;
  let log: { readonly offsetBytes: number; readonly blockCount: number; readonly head: number; readonly tail: number };

  beforeAll(async () => {
    requireTools("mkfs.xfs", "xfs_io", "losetup", "getfattr");
    folder = await temporaryFolder();
    image = join(folder, "dirty.img");
    await makeImage(image, { name: "dirty", blockSizeBytes: 4096, arguments: ["--unsupported", "-l", "size=7m"], sizeMegabytes: 64 });
    await withLoopMount(image, { readOnly: false, type: "xfs", options: "logbsize=32k" }, async (directory) => {
      const churn = new Churn(directory, new Random(seed));
      // Often enough that the log comes around to its beginning.
      for (let round = 0; round < 700; round++) {
        churn.run(12);
        churn.sync();
      }
      await execa("xfs_io", ["-x", "-c", "shutdown -f", directory]);
    });
    const source = openImageSource(image);
    try {
      const superblock = parseSuperblock(source.read(0, 32768) as Uint8Array, source.sizeBytes);
      const offsetBytes = findBlockOffset(superblock, superblock.logStart, superblock.logBlocks)!;
      const ring = new LogRing(source, superblock, offsetBytes);
      log = { offsetBytes, blockCount: ring.blockCount, ...(await findLogExtent(ring)) };
    } finally {
      await source.close();
    }
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test("the log has been around at least once", async () => {
    const descriptor = openSync(image, "r");
    const first = Buffer.alloc(8);
    readSync(descriptor, first, 0, 8, log.offsetBytes);
    closeSync(descriptor);
    expect(log.head).not.toBe(log.tail);
    expect(first.readUInt32BE(0) === 0xfeedbabe ? first.readUInt32BE(4) : first.readUInt32BE(0)).toBeGreaterThan(1);
  });

  test(`shows what Linux recovers, or refuses what Linux refuses (${tears} times, seed ${seed})`, { timeout: 600_000 }, async () => {
    const random = new Random(seed * 77);
    const outcomes = { recovered: 0, refused: 0 };
    for (let round = 0; round < tears; round++) {
      const copy = join(folder, "torn.img");
      await copyFile(image, copy);
      const description = `round ${round}: ${tear(copy, random)}`;
      const actual = await readOrRefuse(copy);
      const expected = await mountOrRefuse(copy);
      if (expected === undefined) {
        expect(actual, `${description}: Linux refuses it`).toBeInstanceOf(DiskError);
        outcomes.refused += 1;
      } else {
        expect(actual, `${description}: ${String(actual)}`).toBeInstanceOf(Map);
        expect(compareListings(expected, actual as Listing), description).toEqual([]);
        outcomes.recovered += 1;
      }
    }
    expect(outcomes.recovered).toBeGreaterThan(0);
  });

  /** Damages one to three sectors, mostly near the head. */
  function tear(path: string, random: Random): string {
    const descriptor = openSync(path, "r+");
    const places: string[] = [];
    const length = (log.head - log.tail + log.blockCount) % log.blockCount;
    try {
      for (let count = random.integer(1, 4); count > 0; count--) {
        const back = random.integer(0, 5) === 0 ? random.integer(1, length + 1) : random.integer(1, Math.min(length, 200) + 1);
        const block = (log.head - back + log.blockCount) % log.blockCount;
        const bytes = random.pick([Buffer.alloc(logBlockBytes), random.bytes(8), Buffer.alloc(4)]);
        writeSync(descriptor, bytes, 0, bytes.length, log.offsetBytes + block * logBlockBytes + (bytes.length < 512 ? random.pick([0, 64, 300]) : 0));
        places.push(`${bytes.length} bytes ${back} before the head`);
      }
    } finally {
      closeSync(descriptor);
    }
    return places.join(", ");
  }
});

async function readOrRefuse(path: string): Promise<Listing | DiskError> {
  const source = openImageSource(path);
  try {
    return await walkFileSystem(await xfs.open(cached(source)));
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  } finally {
    await source.close();
  }
}

async function mountOrRefuse(path: string): Promise<Listing | undefined> {
  let isMounted = false;
  try {
    return await withLoopMount(path, { readOnly: false, type: "xfs" }, (directory) => {
      isMounted = true;
      return walkKernelMount(directory);
    });
  } catch (error) {
    if (isMounted) throw error;
    return undefined;
  }
}
