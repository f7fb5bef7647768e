import { expect, test } from "vitest";
import { writeGpt, writeMbr } from "../../test/tools/partition-tables.ts";
import { faulty } from "../blocks/faulty.ts";
import { memorySource } from "../blocks/memory-source.ts";
import { scanVolumes } from "./scan.ts";

const parts = [
  { index: 0, first: 40, last: 99, name: "EFI System" },
  { index: 4, first: 100, last: 899, name: "größer 🍄" },
];

function makeDisk(sectorBytes = 512): Buffer {
  return Buffer.alloc(1000 * sectorBytes);
}

const expected = [
  { name: "p1", start: 40, size: 60 },
  { name: "p5", start: 100, size: 800 },
];

async function outline(disk: Uint8Array, sectorBytes = 512): Promise<{ name: string; start: number; size: number }[]> {
  const volumes = await scanVolumes(memorySource(disk));
  return volumes.map((volume) => ({
    name: volume.name,
    start: (volume.partition?.startBytes ?? NaN) / sectorBytes,
    size: volume.sizeBytes / sectorBytes,
  }));
}

test("lists partitions by their number, the last sector included", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts);
  expect(await outline(disk)).toEqual(expected);
  const [first, second] = await scanVolumes(memorySource(disk));
  expect(first!.partition).toEqual({
    number: 1,
    table: "gpt",
    type: "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    uuid: "01010101-0101-0101-0101-010101010101",
    label: "EFI System",
    startBytes: 40 * 512,
  });
  expect(second!.partition!.label).toBe("größer 🍄");
  expect(second!.source!.sizeBytes).toBe(800 * 512);
});

test("finds tables of 4096-byte sectors, large entries, and entries elsewhere", async () => {
  const disk = makeDisk(4096);
  writeGpt(disk, parts, { sectorBytes: 4096 });
  expect(await outline(disk, 4096)).toEqual(expected);
  const wide = makeDisk();
  writeGpt(wide, [{ index: 0, first: 100, last: 159 }], { entrySizeBytes: 384, entryCount: 8, entriesLba: 20 });
  expect(await outline(wide)).toEqual([{ name: "p1", start: 100, size: 60 }]);
});

test.each([
  ["header", 512 + 60],
  ["entries", 1024 + 40],
  ["whole sector of the header", -1],
])("uses the backup when the primary's %s is damaged", async (_, at) => {
  const disk = makeDisk();
  writeGpt(disk, parts);
  if (at < 0) disk.fill(0xff, 512, 1024);
  else disk[at]! ^= 0x01;
  expect(await outline(disk)).toEqual(expected);
});

test("uses the backup where the primary says it is, on a disk that has grown", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts, { backupLba: 949 });
  disk[1024 + 40]! ^= 0x01;
  expect(await outline(disk)).toEqual(expected);
});

test("uses the backup when the primary can't be read", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts);
  const source = faulty(memorySource(disk), { ranges: [{ offset: 1024, length: 512 }] });
  expect((await scanVolumes(source)).map((volume) => volume.name)).toEqual(["p1", "p5"]);
});

test("says io_error, not damage, when neither can be read", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts);
  const source = faulty(memorySource(disk), { ranges: [{ offset: 1024, length: 512 }, { offset: 999 * 512, length: 512 }] });
  await expect(scanVolumes(source)).rejects.toMatchObject({ code: "io_error" });
});

test("lists the disk with an error when both tables are damaged", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts);
  disk[512 + 60]! ^= 0x01;
  disk[999 * 512 + 60]! ^= 0x01;
  const volumes = await scanVolumes(memorySource(disk));
  expect(volumes).toHaveLength(1);
  expect(volumes[0]).toMatchObject({ name: "disk", source: undefined, error: { code: "corrupt" } });
  expect(volumes[0]!.error!.message).toMatch(/CRC32/);
});

test("lists the disk with an error when a protective MBR protects nothing", async () => {
  const disk = makeDisk();
  writeMbr(disk, [{ slot: 0, type: 0xee, start: 1, count: 999 }]);
  expect(await scanVolumes(memorySource(disk))).toMatchObject([{ name: "disk", source: undefined, error: { code: "corrupt" } }]);
});

test("takes the GPT of a hybrid MBR", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts);
  writeMbr(disk, [{ slot: 0, type: 0x0c, start: 40, count: 60, flag: 0x80 }, { slot: 2, type: 0xee, start: 1, count: 39 }]);
  expect(await outline(disk)).toEqual(expected);
});

test("finds a GPT whose protective MBR is gone", async () => {
  const disk = makeDisk();
  writeGpt(disk, parts, { protective: false });
  disk.fill(0, 0, 512);
  expect(await outline(disk)).toEqual(expected);
});

test("lists partitions that leave the disk or end before they start with errors, and gives what there is", async () => {
  const disk = makeDisk();
  writeGpt(disk, [
    { index: 0, first: 40, last: 99 },
    { index: 1, first: 900, last: 1000 },
    { index: 2, first: 200, last: 150 },
    { index: 3, first: 2 ** 52, last: 2 ** 53 },
  ]);
  const volumes = await scanVolumes(memorySource(disk));
  expect(volumes.map((volume) => [volume.name, volume.error?.code, volume.source === undefined])).toEqual([
    ["p1", undefined, false],
    ["p2", "corrupt", false],
    ["p3", "corrupt", true],
    ["p4", "corrupt", true],
  ]);
  expect(volumes[1]!.source!.sizeBytes).toBe(100 * 512);
});

test("lists overlapping partitions as readable, but with an error", async () => {
  const disk = makeDisk();
  writeGpt(disk, [{ index: 0, first: 40, last: 100 }, { index: 1, first: 100, last: 199 }, { index: 2, first: 200, last: 299 }]);
  const volumes = await scanVolumes(memorySource(disk));
  expect(volumes.map((volume) => volume.error?.message)).toEqual([
    expect.stringContaining("overlaps partition 2"),
    expect.stringContaining("overlaps partition 1"),
    undefined,
  ]);
  expect(volumes.every((volume) => volume.source !== undefined)).toBe(true);
});

test("refuses tables of impossible size without reading them", async () => {
  const disk = makeDisk();
  writeGpt(disk, [], { entryCount: 16 });
  const { crc32 } = await import("node:zlib");
  for (const lba of [1, 999]) {
    const header = disk.subarray(lba * 512, lba * 512 + 92);
    header.writeUInt32LE(0xffffffff, 80);
    header.writeUInt32LE(0, 16);
    header.writeUInt32LE(crc32(header), 16);
  }
  const [volume] = await scanVolumes(memorySource(disk));
  expect(volume!.error!.message).toContain("4294967295 entries");
});
