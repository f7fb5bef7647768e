import { readFileSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import type { Volume } from "../../agent/volumes/volume.ts";
import { describeAsRoot, requireTools, withTemporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { withLoop } from "../tools/loop-mount.ts";
import { mutateImage } from "../tools/mutate-image.ts";
import { writeGpt, writeMbr } from "../tools/partition-tables.ts";
import { Random } from "../tools/random.ts";
import { rawFromQcow2, sharedImages } from "../tools/shared-images.ts";

/** Partitions in the shape of all oracles: number, first byte, bytes. */
type Outline = { number: number; start: number; size: number }[];

interface SfdiskTable {
  label: string;
  id: string;
  sectorsize: number;
  partitions: { node: string; start: number; size: number; type: string; uuid?: string; name?: string }[];
}

const extendedTypes = new Set(["5", "f", "85"]);

function sfdiskOutline(table: SfdiskTable): Outline {
  return table.partitions
    .filter((part) => !(table.label === "dos" && extendedTypes.has(part.type)))
    .map((part) => ({ number: Number(/(\d+)$/.exec(part.node)![1]), start: part.start * table.sectorsize, size: part.size * table.sectorsize }));
}

/** libblkid's reading, which follows the kernel's. */
async function partxOutline(image: string): Promise<Outline> {
  const { stdout } = await execa("partx", ["--pairs", "--output", "NR,START,SECTORS,TYPE", image]);
  return stdout.split("\n").filter((line) => line !== "").flatMap((line) => {
    const [, number, start, sectors, type] = /NR="(\d+)" START="(\d+)" SECTORS="(\d+)" TYPE="([^"]*)"/.exec(line)!;
    if (extendedTypes.has(type!.replace(/^0x/, ""))) return [];
    return [{ number: Number(number), start: Number(start) * 512, size: Number(sectors) * 512 }];
  });
}

function ownOutline(volumes: readonly Volume[]): Outline {
  return volumes.filter((volume) => volume.partition !== undefined).map((volume) => ({
    number: volume.partition!.number,
    start: volume.partition!.startBytes,
    size: volume.sizeBytes,
  }));
}

async function scanImage(path: string): Promise<Volume[]> {
  const source = openImageSource(path);
  try {
    return await scanVolumes(source);
  } finally {
    await source.close();
  }
}

async function emptyImage(folder: string, sizeMb: number): Promise<string> {
  const path = join(folder, "disk.raw");
  await writeFile(path, "");
  await truncate(path, sizeMb * 1024 * 1024);
  return path;
}

describe("partition tables of the real tools", () => {
  beforeAll(() => requireTools("sfdisk", "sgdisk", "parted", "partx"));

  test.each([
    ["dos", "label: dos\nstart=2048, size=20480, type=83, bootable\nsize=10240, type=7\ntype=5\nsize=4096, type=83\nsize=4096, type=82\ntype=c\n"],
    ["dos with gaps", "label: dos\n2: start=40960, size=2048, type=83\n4: start=4096, size=30000, type=f\nstart=6144, size=2048\nstart=10240, size=4096\n"],
    ["gpt", "label: gpt\nsize=20480, name=\"EFI\", type=U\nsize=10240, name=\"größer 🍄\"\n7: name=\"the rest\"\n"],
    ["gpt with many entries", `label: gpt\ntable-length: 300\n${"size=128\n".repeat(200)}`],
  ])("agrees with sfdisk and partx on its own table: %s", async (_, script) => {
    await withTemporaryFolder(async (folder) => {
      const image = await emptyImage(folder, 256);
      await execa("sfdisk", ["--quiet", image], { input: script });
      const table = (JSON.parse((await execa("sfdisk", ["--json", image])).stdout) as { partitiontable: SfdiskTable }).partitiontable;
      const volumes = await scanImage(image);
      expect(ownOutline(volumes)).toEqual(sfdiskOutline(table));
      expect(ownOutline(volumes)).toEqual(await partxOutline(image));
      expect(volumes.every((volume) => volume.error === undefined)).toBe(true);
      if (table.label !== "gpt") return;
      for (const part of table.partitions) {
        const own = volumes.find((volume) => part.node.endsWith(`disk.raw${volume.partition!.number}`));
        expect(own!.partition).toMatchObject({ type: part.type, label: part.name, uuid: part.uuid!.toLowerCase() });
      }
    });
  });

  test("follows the GPT of a hybrid MBR by sgdisk, and its backup when the primary is gone", async () => {
    await withTemporaryFolder(async (folder) => {
      const image = await emptyImage(folder, 256);
      await execa("sgdisk", ["-n", "1:0:+8M", "-n", "2:0:+16M", "-n", "5:0:0", "-h", "1:2", image]);
      const { stdout } = await execa("sfdisk", ["--json", "--lock=no", image]);
      const expected: Outline = [...stdout.matchAll(/"start": (\d+),\s+"size": (\d+)/g)].map((match, index) => ({
        number: [1, 2, 5][index]!,
        start: Number(match[1]) * 512,
        size: Number(match[2]) * 512,
      }));
      expect(expected).toHaveLength(3);
      expect(ownOutline(await scanImage(image))).toEqual(expected);
      await execa("dd", ["if=/dev/zero", `of=${image}`, "bs=512", "seek=1", "count=33", "conv=notrunc", "status=none"]);
      expect(ownOutline(await scanImage(image))).toEqual(expected);
    });
  });

  test("agrees with parted, also after the disk has grown", async () => {
    await withTemporaryFolder(async (folder) => {
      const image = await emptyImage(folder, 256);
      await execa("parted", ["-s", image, "mklabel", "gpt", "mkpart", "one", "ext4", "1MiB", "20MiB", "mkpart", "two", "fat32", "20MiB", "60MiB"]);
      await truncate(image, 512 * 1024 * 1024);
      const { stdout } = await execa("parted", ["-s", "-m", image, "unit", "B", "print"], { reject: false });
      const expected: Outline = [...stdout.matchAll(/^(\d+):(\d+)B:\d+B:(\d+)B:/gm)].map((match) => ({ number: Number(match[1]), start: Number(match[2]), size: Number(match[3]) }));
      expect(expected).toHaveLength(2);
      expect(ownOutline(await scanImage(image))).toEqual(expected);
    });
  });

  test("agrees with partx on chains of logical partitions at random", async () => {
    await withTemporaryFolder(async (folder) => {
      const random = new Random(5);
      const path = join(folder, "disk.raw");
      for (let round = 0; round < 40; round += 1) {
        const disk = randomMbr(random);
        await writeFile(path, disk);
        const own = ownOutline((await scanVolumes(memorySource(disk))).filter((volume) => volume.error === undefined));
        expect(own, `round ${round}`).toEqual(await partxOutline(path));
      }
    });
  });
});

describeAsRoot("partition tables on disks of 4096-byte sectors", () => {
  test.each([
    ["gpt", "label: gpt\nsize=2048\nsize=4096\n"],
    ["dos", "label: dos\nsize=2048\ntype=5\nsize=1024\nsize=1024\n"],
  ])("agree with sfdisk on a loop device with such sectors: %s", async (_, script) => {
    await withTemporaryFolder(async (folder) => {
      const image = await emptyImage(folder, 256);
      const table = await withLoop(image, { sectorSize: 4096, readOnly: false }, async (device) => {
        await execa("sfdisk", ["--quiet", device], { input: script });
        return (JSON.parse((await execa("sfdisk", ["--json", device])).stdout) as { partitiontable: SfdiskTable }).partitiontable;
      });
      expect(table.sectorsize).toBe(4096);
      expect(ownOutline(await scanImage(image))).toEqual(sfdiskOutline(table));
    });
  });
});

/** Two primary partitions and a chain of up to six logical ones, all inside the disk, in odd slots. */
function randomMbr(random: Random): Buffer {
  const disk = Buffer.alloc(8192 * 512);
  const [first, second, third] = random.shuffle([0, 1, 2, 3]);
  const container = 2048;
  writeMbr(disk, [
    { slot: first!, type: random.pick([0x83, 0x07, 0x0c]), start: 64, count: random.integer(1, 900) },
    { slot: second!, type: 0x82, start: 1024, count: random.integer(1, 900) },
    { slot: third!, type: random.pick([0x05, 0x0f, 0x85]), start: container, count: 6000 },
  ]);
  let at = 0;
  for (let rest = random.integer(1, 7); rest > 0; rest -= 1) {
    const next = at + random.integer(200, 900);
    const data = { slot: random.pick([0, 1]), type: 0x83, start: random.integer(1, 60), count: random.integer(1, 100) };
    const link = { slot: 1 - data.slot, type: 0x05, start: next, count: 200 };
    writeMbr(disk, rest > 1 ? [data, link] : [data], { offset: (container + at) * 512 });
    at = next;
  }
  return disk;
}

describe("damaged partition tables", () => {
  test.each(["mbr", "gpt"])("give volumes or errors, never nothing, within bounds: %s", async (kind) => {
    const random = new Random(17);
    for (let round = 0; round < 400; round += 1) {
      const disk = kind === "mbr" ? randomMbr(random) : Buffer.alloc(4096 * 512);
      if (kind === "gpt") writeGpt(disk, [{ index: 0, first: 40, last: 99 }, { index: 9, first: 200, last: 3000 }]);
      const sectors = [0, 1, 2, 4, 4062, 4063, 4095, 2048, 2300];
      const { description } = mutateImage(disk, sectors, random);
      try {
        const volumes = await scanVolumes(memorySource(disk));
        expect(volumes.length, description).toBeGreaterThan(0);
        for (const volume of volumes) expect(volume.source !== undefined || volume.error !== undefined, description).toBe(true);
      } catch (error) {
        expect(error, description).toBeInstanceOf(DiskError);
      }
    }
  });
});

/** Where the oracle's reading and ours differ, and why ours stands. */
const differences: Record<string, string> = {
  "pt/dn_mbr-4096-p1e1": "sfdisk is told the sector size (512: p1 alone; 4096: p1 and p5); only 4096 finds the extended boot record, so 4096 is taken",
};

describe("shared images of partition tables", () => {
  const images = sharedImages("pt");
  if (images.length === 0) test.skip("passed over: no folder of shared images", () => undefined);
  for (const image of images) {
    test(`${image.name} is read as sfdisk reads it`, async () => {
      const tables = JSON.parse(zstdDecompressSync(readFileSync(image.partitionTable!)).toString()) as Record<string, SfdiskTable | undefined>;
      const volumes = await scanImage(await rawFromQcow2(image.qcow2Path));
      const table = differences[image.name] === undefined ? tables["sector512"] ?? tables["sector4096"] : tables["sector4096"];
      if (table === undefined) {
        expect(volumes).toMatchObject([{ name: "disk" }]);
        return;
      }
      expect(ownOutline(volumes)).toEqual(sfdiskOutline(table));
      expect(volumes.every((volume) => volume.error === undefined)).toBe(true);
      for (const [index, part] of table.partitions.filter((candidate) => candidate.uuid !== undefined).entries()) {
        expect(volumes[index]!.partition).toMatchObject({ type: part.type, uuid: part.uuid!.toLowerCase(), label: part.name });
      }
    });
  }
});
