import { execFileSync } from "node:child_process";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import { Churn } from "../ext4/churn.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeImage, type ImageVariant } from "./image-variants.ts";

/** PLUCK_XFS_SEEDS=50 for a long run, PLUCK_XFS_SEED for another start. */
const seedCount = Number(process.env["PLUCK_XFS_SEEDS"] ?? 1);
const firstSeed = Number(process.env["PLUCK_XFS_SEED"] ?? 1);
/** Copies of the image taken while it is mounted; another after a shutdown. */
const snapshots = 2;

interface LogVariant extends ImageVariant {
  readonly options?: string;
}

const small = ["--unsupported", "-l"];
const variants: readonly LogVariant[] = [
  { name: "a log of 7 MiB that wraps around", blockSizeBytes: 4096, arguments: [...small, "size=7m"], sizeMegabytes: 64, options: "logbsize=32k" },
  { name: "records of 256 KiB, reverse mapping", blockSizeBytes: 4096, arguments: [...small, "size=13m", "-m", "rmapbt=1"], sizeMegabytes: 64, options: "logbsize=256k" },
  { name: "1 KiB blocks, directory blocks of 8 KiB", blockSizeBytes: 1024, arguments: [...small, "size=4m", "-n", "size=8192"], sizeMegabytes: 48 },
  { name: "2 KiB inodes, a stripe unit of the log", blockSizeBytes: 4096, arguments: ["-i", "size=2048", ...small, "size=8m,su=64k"], sizeMegabytes: 64, options: "logbsize=128k" },
  { name: "no reflink or bigtime, 4 KiB sectors", blockSizeBytes: 4096, arguments: ["-m", "reflink=0,bigtime=0", "-s", "size=4096", ...small, "size=7m"], sizeMegabytes: 64, sectorSizeBytes: 4096 },
];

// A machine that stops leaves a log. Linux replays it into one copy of the disk; the reader must show the same from
// another copy without writing a byte.
describeAsRoot("XFS logs that were left dirty", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.xfs", "xfs_io", "losetup", "getfattr", "setfattr");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  for (const variant of variants) {
    for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
      test(`${variant.name}, seed ${seed}`, async () => {
        const copies = await makeDirtyCopies(folder, variant, seed);
        const states: string[] = [];
        for (const copy of copies) states.push(await compareWithRecovery(copy, variant));
        expect(states).toContain("recovered");
      });
    }
  }
});

async function makeDirtyCopies(folder: string, variant: LogVariant, seed: number): Promise<string[]> {
  const image = join(folder, "live.img");
  await makeImage(image, variant);
  const random = new Random(seed * 1000 + variant.blockSizeBytes);
  const copies: string[] = [];
  const loop = variant.sectorSizeBytes === undefined ? {} : { sectorSize: variant.sectorSizeBytes };
  await withLoopMount(image, { ...loop, readOnly: false, type: "xfs", ...(variant.options && { options: variant.options }) }, async (directory) => {
    const churn = new Churn(directory, random);
    const step = (steps: number): void => {
      for (let round = 0; round < 6; round++) {
        churn.run(steps);
        beXfs(directory, churn, random);
      }
    };
    for (let snapshot = 0; snapshot < snapshots; snapshot++) {
      step(random.integer(20, 120));
      if (random.integer(0, 3) > 0) churn.sync();
      churn.run(random.integer(0, 20));
      const copy = join(folder, `copy-${snapshot}.img`);
      await copyFile(image, copy);
      copies.push(copy);
    }
    step(random.integer(20, 120));
    // With -f the log is forced to the disk first; without, what was in memory alone is lost.
    await execa("xfs_io", ["-x", "-c", random.integer(0, 2) === 0 ? "shutdown" : "shutdown -f", directory]);
  });
  copies.push(image);
  return copies;
}

/** What only XFS does, or does in a way of its own. */
function beXfs(directory: string, churn: Churn, random: Random): void {
  const file = churn.anyFile();
  if (file === undefined) return;
  const run = (program: string, parameters: readonly string[]) => {
    try {
      execFileSync(program, parameters, { stdio: "ignore" });
    } catch {
      // A name may be gone, a file a link.
    }
  };
  const io = (command: string) => run("xfs_io", ["-c", command, file]);
  const offset = random.integer(0, 20) * 4096;
  const length = random.integer(1, 10) * 4096;
  for (const size of [random.integer(0, 60), random.integer(100, 900), random.integer(2000, 9000)]) {
    run("setfattr", ["-n", `user.churn-${random.integer(0, 30)}`, "-v", `0s${random.bytes(size).toString("base64")}`, file]);
  }
  run("setfattr", ["-x", `user.churn-${random.integer(0, 30)}`, file]);
  io(`falloc ${offset} ${length}`);
  io(`fpunch ${random.integer(0, 20) * 4096} ${length}`);
  run("cp", ["--reflink=auto", file, join(directory, `reflinked-${random.integer(0, 5)}`)]);
  run("xfs_io", ["-c", `pwrite -q ${offset} ${length}`, "-c", random.integer(0, 2) === 0 ? "fsync" : "stat", join(directory, `reflinked-${random.integer(0, 5)}`)]);
}

async function compareWithRecovery(copy: string, variant: LogVariant): Promise<string> {
  const source = openImageSource(copy);
  let actual: Listing;
  let state: string;
  try {
    const fs = await xfs.open(cached(source));
    state = fs.facts.state;
    actual = await walkFileSystem(fs);
  } finally {
    await source.close();
  }
  const loop = variant.sectorSizeBytes === undefined ? {} : { sectorSize: variant.sectorSizeBytes };
  const expected = await withLoopMount(copy, { ...loop, readOnly: false, type: "xfs" }, (directory) => walkKernelMount(directory));
  expect(compareListings(expected, actual)).toEqual([]);
  return state;
}
