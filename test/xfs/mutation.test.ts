import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { crc32c } from "../../agent/blocks/crc32c.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import { findBlockOffset } from "../../agent/filesystems/xfs/addresses.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import { findLogExtent } from "../../agent/filesystems/xfs/log/extent.ts";
import { readRecords, type LogRecord } from "../../agent/filesystems/xfs/log/records.ts";
import { LogRing } from "../../agent/filesystems/xfs/log/ring.ts";
import { parseSuperblock } from "../../agent/filesystems/xfs/superblock.ts";
import { describeMutations } from "../contract/mutations.ts";
import { Churn } from "../ext4/churn.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { makeXfsFromTree } from "./protofile.ts";

/** PLUCK_MUTATIONS=5000 for a long run, PLUCK_MUTATION_SEED to repeat or vary it. */
const mutationCount = Number(process.env["PLUCK_MUTATIONS"] ?? 60);
const seed = Number(process.env["PLUCK_MUTATION_SEED"] ?? 1);

let folder: string;
beforeAll(async () => {
  requireTools("mkfs.xfs");
  folder = await temporaryFolder();
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

// Checksums catch most damage before it does anything. Version 4 has none, so that the reader's own bounds are what
// stands between a wild number and a hang.
describe("version 4, which has no checksums", () => {
  const image = () => join(folder, "version4.img");
  beforeAll(async () => {
    const random = new Random(9);
    const tree = join(folder, "tree");
    for (const [count, name] of [[5, "few"], [40, "block"], [250, "leaves"]] as const) {
      mkdirSync(join(tree, name), { recursive: true });
      for (let i = 0; i < count; i++) symlinkSync("t".repeat((i % 7) * 30 + 1), join(tree, name, `${i}-${"n".repeat(i % 30)}`));
    }
    for (const size of [1, 600, 30_000]) writeFileSync(join(tree, `${size}`), random.bytes(size));
    writeFileSync(image(), "");
    await truncate(image(), 20 * 1024 * 1024);
    await makeXfsFromTree(image(), tree, ["-m", "crc=0", "-b", "size=512", "-l", "size=4m"]);
  });
  describeMutations(image);
});

// Most of what is not zero here is the log, and all of it is read.
describeAsRoot("a log to replay", () => {
  const image = () => join(folder, "dirty.img");
  beforeAll(async () => {
    requireTools("xfs_io", "losetup");
    writeFileSync(image(), "");
    await truncate(image(), 24 * 1024 * 1024);
    await execa("mkfs.xfs", ["-q", "-f", "--unsupported", "-d", "agcount=1", "-l", "size=7m", image()]);
    await withLoopMount(image(), { readOnly: false, type: "xfs" }, async (directory) => {
      const churn = new Churn(directory, new Random(3));
      for (let round = 0; round < 10; round++) {
        churn.run(15);
        churn.sync();
      }
      await execa("xfs_io", ["-x", "-c", "shutdown -f", directory]);
    });
  });
  describeMutations(image);

  // The checksum of a record is put right again, so that what it holds is read.
  test(`gives data or a typed error for records of wrong contents (${mutationCount} times, seed ${seed})`, { timeout: 600_000 }, async () => {
    const bytes = readFileSync(image());
    const source = memorySource(bytes);
    const superblock = parseSuperblock(bytes.subarray(0, 32768), bytes.length);
    const offsetBytes = findBlockOffset(superblock, superblock.logStart, superblock.logBlocks)!;
    const ring = new LogRing(source, superblock, offsetBytes);
    const extent = await findLogExtent(ring);
    const records: LogRecord[] = [];
    for await (const record of readRecords(ring, extent.head, extent.tail)) if (!("error" in record)) records.push(record);
    let read = 0;
    for (let round = 0; round < mutationCount; round++) {
      const random = new Random(seed * 1_000_003 + round);
      const record = random.pick(records);
      const start = offsetBytes + record.block * 512;
      const end = start + record.headers.length + record.data.length;
      // This log does not come around: its records lie in one piece.
      const saved = Buffer.from(bytes.subarray(start, end));
      for (let count = random.integer(1, 4); count > 0; count--) {
        const at = start + record.headers.length + random.integer(0, Math.min(record.header.length, record.data.length));
        bytes[at] = random.pick([0, 0xff, bytes[at]! ^ (1 << random.integer(0, 8)), random.integer(0, 256)]);
      }
      bytes.writeUInt32LE(0, start + 32);
      bytes.writeUInt32LE(crc32c(Buffer.concat([bytes.subarray(start, start + 328), bytes.subarray(start + record.headers.length, start + record.headers.length + record.header.length)])), start + 32);
      try {
        await walkFileSystem(await xfs.open(cached(memorySource(bytes))), { maxEntries: 500, maxContentBytes: 100_000 });
        read++;
      } catch (error) {
        if (!(error instanceof DiskError)) throw new Error(`round ${round}`, { cause: error });
      }
      bytes.set(saved, start);
    }
    expect(read).toBeGreaterThan(0);
  });
});
