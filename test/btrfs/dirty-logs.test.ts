import { closeSync, fsyncSync, ftruncateSync, openSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { btrfs } from "../../agent/filesystems/btrfs/driver.ts";
import { Churn } from "../ext4/churn.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeBtrfs, withBtrfsMount } from "./mount.ts";

/** PLUCK_SEEDS=200 for a long run, PLUCK_FIRST_SEED to repeat one. */
const seedCount = Number(process.env["PLUCK_SEEDS"] ?? 5);
const firstSeed = Number(process.env["PLUCK_FIRST_SEED"] ?? 1);

const variants: readonly { readonly arguments: readonly string[]; readonly mount: string }[] = [
  { arguments: [], mount: "commit=300" },
  { arguments: ["-n", "4096", "--csum", "xxhash"], mount: "commit=300,compress-force=zstd" },
  { arguments: ["-O", "^no-holes"], mount: "commit=300" },
  { arguments: ["--mixed", "-n", "4096"], mount: "commit=300,compress=lzo" },
  { arguments: [], mount: "commit=300,nodatasum" },
];

// An image taken while it is mounted and busy holds a log of what was fsynced since the last commit. What Linux
// makes of a copy of it is what the reader must show.
describeAsRoot("images of a mounted btrfs", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.btrfs", "btrfs", "losetup", "setfattr", "getfattr", "cp");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
    test(`busy with files, links and fsyncs, seed ${seed}`, async () => {
      const image = join(folder, `${seed}.img`);
      const copy = join(folder, `${seed}-copy.img`);
      const variant = variants[seed % variants.length]!;
      await makeBtrfs([image], variant.arguments, 200);
      await withBtrfsMount([image], { readOnly: false, options: variant.mount }, async (directory) => {
        await makeBusy(directory, new Random(seed));
        await execa("cp", ["--sparse=always", image, copy]);
      });
      const source = openImageSource(copy);
      try {
        const fs = await btrfs.open(cached(source));
        // Now and then an fsync commits everything instead, and leaves no log: log_root is 0.
        const hasLog = Buffer.from(await source.read(65_536 + 0x60, 8)).readBigUInt64LE(0) !== 0n;
        expect(fs.facts.state).toBe(hasLog ? "recovered" : "clean");
        const found = await walkFileSystem(fs);
        const mountedSeconds = Math.floor(Date.now() / 1000);
        // Writes the replayed log into the copy.
        const expected = await withBtrfsMount([copy], { readOnly: false }, (directory) => walkKernelMount(directory));
        for (const entry of expected.values()) {
          // Linux gives the folders it takes names out of the time of the mount.
          if (entry.type !== "d" || entry.mtimeSeconds! < mountedSeconds) continue;
          delete entry.mtimeSeconds;
          delete entry.mtimeNanoseconds;
        }
        expect(compareListings(expected, found)).toEqual([]);
      } finally {
        await source.close();
        await rm(image, { force: true });
        await rm(copy, { force: true });
      }
    });
  }
});

async function makeBusy(directory: string, random: Random): Promise<void> {
  const subvolume = join(directory, "subvolume");
  await execa("btrfs", ["subvolume", "create", subvolume]);
  const churns = [new Churn(directory, random), new Churn(subvolume, random)];
  for (const churn of churns) churn.run(random.integer(20, 300));
  await execa("sync", ["-f", directory]);
  // A commit in between, so that the clock of the mount is behind all that follows.
  for (let round = random.integer(2, 10); round > 0; round--) {
    const churn = random.pick(churns);
    churn.run(random.integer(1, 40));
    for (let i = random.integer(0, 4); i > 0; i--) change(churn.anyFile(), random);
    if (random.integer(0, 3) === 0) syncFolder(random.pick([directory, subvolume]), random);
    if (random.integer(0, 8) === 0) await execa("sync", ["-f", directory]);
    churn.sync();
  }
  change(join(directory, "last"), random);
  writeAndSync(join(directory, "last of all"), "the log is there");
  // The image is compared with what was then: a later second tells Linux's own time stamps apart.
  await new Promise((resolve) => setTimeout(resolve, 1100));
}

function writeAndSync(path: string, text: string): void {
  writeFileSync(path, text, { flush: true });
}

/** Changes that only btrfs stores in ways of its own, each forced to the disk. */
function change(path: string | undefined, random: Random): void {
  if (path === undefined) return;
  try {
    const file = openSync(path, random.integer(0, 5) === 0 ? "w+" : "a+");
    closeSync(file);
    const edit = openSync(path, "r+");
    switch (random.integer(0, 6)) {
      case 0:
        writeSync(edit, Buffer.alloc(random.integer(1, 200_000), random.integer(0, 256)), 0, undefined, random.integer(0, 300_000));
        break;
      case 1:
        ftruncateSync(edit, random.integer(0, 200_000));
        break;
      case 2:
        execaSync("setfattr", ["-n", `user.${random.integer(0, 4)}`, "-v", "v".repeat(random.integer(1, 200)), path]);
        break;
      case 3:
        execaSync("setfattr", ["-x", `user.${random.integer(0, 4)}`, path], { reject: false });
        break;
      case 4:
        execaSync("fallocate", [...random.pick([["--punch-hole"], ["--keep-size"], []]), "-o", String(random.integer(0, 20) * 4096), "-l", String(random.integer(1, 30) * 4096), path], { reject: false });
        break;
      default:
        // The name goes to another file: the log has to take it from the old one.
        renameSync(path, `${path}-old`);
        writeAndSync(path, "in its place");
        if (random.integer(0, 2) === 0) unlinkSync(`${path}-old`);
    }
    fsyncSync(edit);
    closeSync(edit);
  } catch (error) {
    // The churn may have put a folder or a link there.
    if ((error as NodeJS.ErrnoException).code === undefined && !(error as Error).message.startsWith("Command failed")) throw error;
  }
}

function syncFolder(directory: string, random: Random): void {
  const folders = [directory, ...readdirSync(directory).map((name) => join(directory, name)).filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory())];
  const descriptor = openSync(random.pick(folders), "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
