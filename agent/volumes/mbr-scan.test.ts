import { expect, test } from "vitest";
import { writeMbr, type MbrPart } from "../../test/tools/partition-tables.ts";
import { memorySource } from "../blocks/memory-source.ts";
import { scanVolumes } from "./scan.ts";
import type { Volume } from "./volume.ts";

const sector = 512;

function makeDisk(sectors: number, parts: readonly MbrPart[], signature = 0x12345678): Buffer {
  const disk = Buffer.alloc(sectors * sector);
  writeMbr(disk, parts, { signature });
  return disk;
}

function outline(volumes: readonly Volume[]): string[] {
  return volumes.map((volume) => `${volume.name} ${volume.partition?.startBytes}+${volume.sizeBytes}${volume.error === undefined ? "" : " " + volume.error.code}`);
}

test("lists primary partitions by their slot", async () => {
  const disk = makeDisk(4096, [
    { slot: 0, type: 0x83, start: 64, count: 100, flag: 0x80 },
    { slot: 2, type: 0x07, start: 1000, count: 200 },
  ]);
  const volumes = await scanVolumes(memorySource(disk));
  expect(outline(volumes)).toEqual(["p1 32768+51200", "p3 512000+102400"]);
  expect(volumes[0]!.partition).toEqual({ number: 1, table: "mbr", type: "0x83", uuid: "12345678-01", label: undefined, startBytes: 32768 });
  expect(volumes[1]!.source!.sizeBytes).toBe(102_400);
});

test("counts logical partitions from 5 and doesn't list their container", async () => {
  const disk = makeDisk(4096, [
    { slot: 0, type: 0x83, start: 64, count: 100 },
    { slot: 1, type: 0x05, start: 1000, count: 2000 },
  ]);
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 10, count: 50 }, { slot: 1, type: 0x05, start: 500, count: 300 }], { offset: 1000 * sector });
  writeMbr(disk, [{ slot: 0, type: 0x82, start: 20, count: 60 }], { offset: 1500 * sector });
  expect(outline(await scanVolumes(memorySource(disk)))).toEqual([
    `p1 ${64 * sector}+51200`,
    `p5 ${1010 * sector}+${50 * sector}`,
    `p6 ${1520 * sector}+${60 * sector}`,
  ]);
});

test("ends a chain of logical partitions that comes back to itself, with an error", async () => {
  const disk = makeDisk(4096, [{ slot: 0, type: 0x0f, start: 1000, count: 2000 }]);
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 10, count: 50 }, { slot: 1, type: 0x05, start: 500, count: 300 }], { offset: 1000 * sector });
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 10, count: 50 }, { slot: 1, type: 0x05, start: 0, count: 300 }], { offset: 1500 * sector });
  const volumes = await scanVolumes(memorySource(disk));
  expect(outline(volumes)).toEqual([`p5 ${1010 * sector}+25600`, `p6 ${1510 * sector}+25600`, `p7 ${1000 * sector}+0 corrupt`]);
});

test("lists a broken link of the chain as the partition that should follow", async () => {
  const disk = makeDisk(4096, [{ slot: 0, type: 0x05, start: 1000, count: 2000 }]);
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 10, count: 50 }, { slot: 1, type: 0x05, start: 500, count: 300 }], { offset: 1000 * sector });
  const volumes = await scanVolumes(memorySource(disk));
  expect(outline(volumes)).toEqual([`p5 ${1010 * sector}+25600`, `p6 ${1500 * sector}+0 corrupt`]);
  expect(volumes[1]!.error!.message).toContain("expected 55 aa");
});

test("takes the third and fourth entries of a link only inside their container", async () => {
  const disk = makeDisk(4096, [{ slot: 0, type: 0x05, start: 1000, count: 2000 }]);
  writeMbr(disk, [
    { slot: 0, type: 0x83, start: 10, count: 50 },
    { slot: 2, type: 0x83, start: 100, count: 40 },
    { slot: 3, type: 0x83, start: 3000, count: 100 },
  ], { offset: 1000 * sector });
  expect(outline(await scanVolumes(memorySource(disk)))).toEqual([`p5 ${1010 * sector}+25600`, `p6 ${1100 * sector}+20480`]);
});

test("ends a partition with the disk when it runs past it, and lists one that starts beyond", async () => {
  const disk = makeDisk(1000, [
    { slot: 0, type: 0x83, start: 500, count: 10_000 },
    { slot: 1, type: 0x83, start: 2000, count: 10 },
  ]);
  const volumes = await scanVolumes(memorySource(disk));
  expect(volumes.map((volume) => volume.source?.sizeBytes)).toEqual([500 * sector, undefined]);
  expect(outline(volumes)).toEqual([`p1 ${500 * sector}+${500 * sector} corrupt`, `p2 ${2000 * sector}+5120 corrupt`]);
});

test("counts in 4096-byte sectors where only that finds the extended boot record", async () => {
  const disk = Buffer.alloc(100 * 4096);
  writeMbr(disk, [{ slot: 0, type: 0x05, start: 10, count: 50 }]);
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 2, count: 5 }], { offset: 10 * 4096 });
  expect(outline(await scanVolumes(memorySource(disk)))).toEqual([`p5 ${12 * 4096}+${5 * 4096}`]);
});

test("takes an empty extended partition for one without logical partitions", async () => {
  const disk = makeDisk(4096, [{ slot: 0, type: 0x83, start: 64, count: 100 }, { slot: 1, type: 0x05, start: 1000, count: 2000 }]);
  expect(outline(await scanVolumes(memorySource(disk)))).toEqual([`p1 32768+51200`]);
});

test("names partitions of dynamic disks instead of reading them", async () => {
  const disk = makeDisk(4096, [{ slot: 0, type: 0x42, start: 63, count: 4000 }]);
  const [volume] = await scanVolumes(memorySource(disk));
  expect(volume).toMatchObject({ name: "p1", source: undefined, error: { code: "unsupported" } });
  expect(volume!.error!.message).toContain("dynamic disk");
});
