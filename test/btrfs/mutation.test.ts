import { readFileSync } from "node:fs";
import { mkdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { crc32c } from "../../agent/blocks/crc32c.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import type { FileSystem } from "../../agent/filesystems/filesystem.ts";
import { btrfs } from "../../agent/filesystems/btrfs/driver.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { makeBtrfs, withBtrfsMount } from "./mount.ts";

const rounds = Number(process.env["PLUCK_MUTATIONS"] ?? 150);
const firstSeed = Number(process.env["PLUCK_MUTATION_SEED"] ?? 1);
/** A walk of the whole small image takes a hundredth of this. */
const maxMilliseconds = 10_000;
const nodeBytes = 4096;
const superblockOffset = 65_536;

// Checksums catch accidents. A hostile image has the right ones, so here they are made right after the damage,
// and the reader's own bounds are what stands between a wild number and a hang.
describe("trees that nobody in their right mind would write", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.btrfs");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test(`give data or a typed error, in time (${rounds} times, from seed ${firstSeed})`, { timeout: 300_000 }, async () => {
    const image = join(folder, "plain.img");
    const tree = join(folder, "tree");
    await mkdir(join(tree, "folder", "deeper"), { recursive: true });
    const random = new Random(2);
    for (let i = 0; i < 120; i++) await writeFile(join(tree, "folder", `file number ${i}`), random.bytes(i * 40));
    await writeFile(join(tree, "folder", "deeper", "large"), random.bytes(300_000));
    await symlink("nowhere", join(tree, "link"));
    await writeFile(image, "");
    await truncate(image, 20 * 1024 * 1024);
    await execa("mkfs.btrfs", ["-q", "-f", "--mixed", "-n", "4096", "--rootdir", tree, image]);
    await mutate([readFileSync(image)]);
  });

  describeAsRoot("over three devices", () => {
    test(`give data or a typed error, in time (${rounds} times, from seed ${firstSeed})`, { timeout: 300_000 }, async () => {
      const images = [0, 1, 2].map((index) => join(folder, `device-${index}.img`));
      await makeBtrfs(images, ["--mixed", "-n", "4096", "-d", "raid5", "-m", "raid5"], 100);
      await withBtrfsMount(images, { readOnly: false }, async (directory) => {
        for (let i = 0; i < 100; i++) await writeFile(join(directory, `file-${i}`), `${i}`.repeat(i * 50));
      });
      await mutate(images.map((image) => readFileSync(image)));
    });
  });

  describeAsRoot("with a log", () => {
    test(`give data or a typed error, in time (${rounds} times, from seed ${firstSeed})`, { timeout: 300_000 }, async () => {
      const image = join(folder, "log.img");
      const copy = join(folder, "log-copy.img");
      await makeBtrfs([image], ["--mixed", "-n", "4096"], 32);
      await withBtrfsMount([image], { readOnly: false, options: "commit=300,compress-force=lzo" }, async (directory) => {
        for (let i = 0; i < 60; i++) await writeFile(join(directory, `before-${i}`), `${i}`.repeat(i * 5));
        await execa("sync", ["-f", directory]);
        for (let i = 0; i < 60; i += 2) await rm(join(directory, `before-${i}`));
        for (let i = 0; i < 40; i++) await writeFile(join(directory, `after-${i}`), `${i}`.repeat(i * 100), { flush: true });
        await execa("sync", [directory]);
        await execa("cp", ["--sparse=always", image, copy]);
      });
      await mutate([readFileSync(copy)]);
    });
  });
});

async function mutate(images: readonly Buffer[]): Promise<void> {
  const fsid = images[0]!.subarray(superblockOffset + 0x20, superblockOffset + 0x30);
  const nodes: Buffer[] = [];
  for (const image of images) {
    for (let at = 1024 * 1024; at + nodeBytes <= image.length; at += nodeBytes) if (fsid.equals(image.subarray(at + 0x20, at + 0x30))) nodes.push(image.subarray(at, at + nodeBytes));
  }
  const superblocks = images.map((image) => image.subarray(superblockOffset, superblockOffset + nodeBytes));
  expect(nodes.length).toBeGreaterThan(10);
  let refused = 0;
  for (let round = firstSeed; round < firstSeed + rounds; round++) {
    const random = new Random(round);
    const hits = Array.from({ length: random.integer(1, 4) }, () => random.pick(random.integer(0, 12) === 0 ? superblocks : nodes));
    const saved = hits.map((block) => Buffer.from(block));
    for (const block of hits) damage(block, superblocks.includes(block), random);
    const started = performance.now();
    try {
      await walkFileSystem(await open(images), { maxEntries: 2000, maxContentBytes: 4 * 1024 * 1024 });
    } catch (error) {
      if (!(error instanceof DiskError)) throw new Error(`seed ${round}`, { cause: error });
      refused += 1;
    }
    expect(performance.now() - started, `seed ${round}`).toBeLessThan(maxMilliseconds);
    for (const [index, block] of hits.entries()) block.set(saved[index]!);
  }
  // Some damage hits what everything hangs on, most doesn't.
  expect(refused).toBeLessThan(rounds);
}

/** As the volumes of one disk and its siblings are opened. */
async function open(images: readonly Buffer[]): Promise<FileSystem> {
  const [own, ...others] = images.map((image) => cached(memorySource(image)));
  const [volume] = await scanVolumes(own!, { siblings: async () => others.map((source, index) => ({ name: `disk ${index + 1}`, source })) });
  if (volume?.source === undefined) throw volume?.error ?? new Error("no volume");
  if (volume.isMember === true) throw volume.error!;
  return await (volume.spanning?.open() ?? btrfs.open(volume.source));
}

/** Mostly in what is in use: the header, the item headers, and the data at the end of the node. */
function damage(block: Buffer, isSuperblock: boolean, random: Random): void {
  const count = block.readUInt32LE(0x60);
  for (let i = random.integer(1, 4); i > 0; i--) {
    const at = isSuperblock
      ? random.integer(0x48, 0x400)
      : random.pick([random.integer(0x50, 0x65), 0x65 + random.integer(0, Math.max(1, Math.min(count, 60)) * 25), random.integer(0x65, nodeBytes - 8), nodeBytes - 8 - random.integer(0, 1500)]);
    switch (random.integer(0, 5)) {
      case 0:
        block[at] = random.integer(0, 256);
        break;
      case 1:
        block[at]! ^= 1 << random.integer(0, 8);
        break;
      case 2:
        block.writeUInt32LE(random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, random.integer(0, 2 ** 32)]), at);
        break;
      case 3:
        block.writeBigUInt64LE(random.pick([0n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 53n, BigInt(random.integer(0, 2 ** 32)) * 4096n]), at);
        break;
      default:
        block.writeUInt32LE((block.readUInt32LE(at) + random.pick([1, -1, 4096, 0x10000])) >>> 0, at);
    }
  }
  block.writeUInt32LE(crc32c(block, 0x20), 0);
}
