import { expect, test } from "vitest";
import { isFatBootSector, parseBootSector } from "./boot-sector.ts";

/** FAT16 of 20,000 sectors of 512 bytes, one a cluster, as the specification lays it out. */
function makeSector(): Buffer {
  const sector = Buffer.alloc(512);
  sector.writeUInt16LE(512, 11);
  sector[13] = 1;
  sector.writeUInt16LE(1, 14);
  sector[16] = 2;
  sector.writeUInt16LE(512, 17);
  sector.writeUInt16LE(20_000, 19);
  sector[21] = 0xf8;
  sector.writeUInt16LE(79, 22);
  sector[37] = 1;
  sector[38] = 0x29;
  sector.writeUInt32LE(0xabcd1234, 39);
  sector.write("A LABEL    ", 43, "latin1");
  return sector;
}

test("places the FAT, the root directory and the data one after the other", () => {
  expect(parseBootSector(makeSector())).toMatchObject({
    fatBits: 16,
    clusterBytes: 512,
    fatOffsetBytes: 512,
    fatBytes: 79 * 512,
    rootOffsetBytes: (1 + 2 * 79) * 512,
    rootBytes: 512 * 32,
    dataOffsetBytes: (1 + 2 * 79 + 32) * 512,
    clusterCount: 20_000 - 191,
    sizeBytes: 20_000 * 512,
    isMarkedDirty: true,
    serialNumber: 0xabcd1234,
  });
});

test("tells FAT12 from FAT16 by the count of clusters, FAT32 by the missing 16-bit length", () => {
  const sector = makeSector();
  sector.writeUInt16LE(191 + 0xff4, 19);
  expect(parseBootSector(sector).fatBits).toBe(12);
  sector.writeUInt16LE(191 + 0xff5, 19);
  expect(parseBootSector(sector).fatBits).toBe(16);
  sector.writeUInt16LE(0, 17);
  sector.writeUInt16LE(0, 22);
  sector.writeUInt32LE(1000, 36);
  sector.writeUInt16LE(0, 40);
  sector.writeUInt32LE(2, 44);
  expect(parseBootSector(sector)).toMatchObject({ fatBits: 32, rootCluster: 2, rootBytes: 0 });
});

test("counts no more clusters than its FAT has entries for", () => {
  const sector = makeSector();
  sector.writeUInt16LE(40, 22);
  expect(parseBootSector(sector).clusterCount).toBe((40 * 512) / 2 - 2);
});

test("takes the FAT that is marked as the only current one", () => {
  const sector = makeSector();
  sector.writeUInt16LE(0, 17);
  sector.writeUInt16LE(0, 22);
  sector.writeUInt32LE(100, 36);
  sector.writeUInt16LE(0x81, 40);
  sector.writeUInt32LE(2, 44);
  expect(parseBootSector(sector).fatOffsetBytes).toBe((1 + 100) * 512);
});

test("refuses a FAT32 root that is no cluster, which would look empty", () => {
  const sector = makeSector();
  sector.writeUInt16LE(0, 17);
  sector.writeUInt16LE(0, 22);
  sector.writeUInt32LE(200, 36);
  for (const cluster of [0, 1, 20_000]) {
    sector.writeUInt32LE(cluster, 44);
    expect(() => parseBootSector(sector)).toThrow(`root cluster ${cluster}`);
  }
});

test.each([
  ["bytes per sector", (sector: Buffer) => sector.writeUInt16LE(500, 11)],
  ["sectors per cluster", (sector: Buffer) => sector.writeUInt8(3, 13)],
  ["reserved sectors", (sector: Buffer) => sector.writeUInt16LE(0, 14)],
  ["FAT", (sector: Buffer) => sector.writeUInt8(0, 16)],
  ["media", (sector: Buffer) => sector.writeUInt8(0x42, 21)],
  ["root entries", (sector: Buffer) => sector.writeUInt16LE(511, 17)],
  ["data starts", (sector: Buffer) => sector.writeUInt16LE(100, 19)],
])("refuses a wrong field, naming it: %s", (name, damage) => {
  const sector = makeSector();
  damage(sector);
  expect(() => parseBootSector(sector)).toThrow(name);
  expect(isFatBootSector(sector)).toBe(false);
});

test("knows a damaged boot sector that calls itself FAT, and none that only looks like it", () => {
  const sector = makeSector();
  sector.writeUInt16LE(0, 14);
  sector[0] = 0xeb;
  sector.write("FAT16   ", 54, "latin1");
  sector.writeUInt16BE(0x55aa, 510);
  expect(isFatBootSector(sector)).toBe(true);
  const jfs = makeSector();
  jfs.write("JFS     ", 54, "latin1");
  expect(isFatBootSector(jfs)).toBe(false);
  expect(isFatBootSector(Buffer.alloc(512))).toBe(false);
});
