import { expect, test } from "vitest";
import { writeMbr } from "../../test/tools/partition-tables.ts";
import { memorySource } from "../blocks/memory-source.ts";
import { scanVolumes } from "./scan.ts";
import type { Volume } from "./volume.ts";

const size = 1024 * 1024;

function expectBare(volume: Volume): void {
  expect(volume).toMatchObject({ name: "disk", kind: "disk", sizeBytes: size });
  expect(volume.source!.sizeBytes).toBe(size);
  expect(volume.error).toBeUndefined();
}

async function scanOne(disk: Uint8Array) {
  const volumes = await scanVolumes(memorySource(disk));
  expect(volumes).toHaveLength(1);
  return volumes[0]!;
}

/** A boot sector that Linux accepts as FAT16: 2048 sectors, 4 reserved. */
function makeFat(): Buffer {
  const disk = Buffer.alloc(size);
  Buffer.from("eb3c906d6b66732e666174", "hex").copy(disk);
  disk.writeUInt16LE(512, 11);
  disk[13] = 4;
  disk.writeUInt16LE(4, 14);
  disk[16] = 2;
  disk.writeUInt16LE(512, 17);
  disk.writeUInt16LE(2048, 19);
  disk[21] = 0xf8;
  disk.writeUInt16LE(2, 22);
  Buffer.from("f8ffff", "hex").copy(disk, 4 * 512);
  disk[510] = 0x55;
  disk[511] = 0xaa;
  return disk;
}

test("gives a filesystem on the bare disk as the volume disk", async () => {
  const disk = Buffer.alloc(size);
  disk.writeUInt16LE(0xef53, 1024 + 56);
  expectBare(await scanOne(disk));
});

test("takes a FAT boot sector for FAT, not for a partition table", async () => {
  expectBare(await scanOne(makeFat()));
  // What mkfs.vfat --mbr adds: an entry that covers the volume from its own first sector.
  const withTable = makeFat();
  writeMbr(withTable, [{ slot: 0, type: 0x0e, start: 0, count: 2048, flag: 0x80 }]);
  expectBare(await scanOne(withTable));
});

test("takes FAT's numbers left in a partitioned disk's first sector for leftovers", async () => {
  const disk = makeFat();
  disk.fill(0, 512, 8192);
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 64, count: 100 }]);
  expect(await scanOne(disk)).toMatchObject({ name: "p1" });
});

test("finds a filesystem behind an MBR without partitions, as a boot loader leaves it", async () => {
  const disk = Buffer.alloc(size);
  writeMbr(disk, []);
  Buffer.from("XFSB").copy(disk);
  expectBare(await scanOne(disk));
});

test("says that an empty disk holds only zeros", async () => {
  const volume = await scanOne(Buffer.alloc(size));
  expect(volume).toMatchObject({ name: "disk", source: undefined, error: { code: "unsupported" } });
  expect(volume.error!.message).toContain("only zeros");
});

test("says that nothing is recognised on a disk of noise", async () => {
  const disk = Buffer.alloc(size, 0x5a);
  expect((await scanOne(disk)).error!.message).toBe("nothing recognised");
});

test("says what is wrong with a table that isn't one", async () => {
  const disk = Buffer.alloc(size, 0x5a);
  writeMbr(disk, [{ slot: 0, type: 0x83, start: 1, count: 2, flag: 0x12 }]);
  expect((await scanOne(disk)).error!.message).toContain("entry 1 has the boot flag 0x12");
});

test.each([
  ["an Apple partition map", 512, "504d0000", "mac"],
  ["a BSD disklabel", 512, "57455682", "bsd"],
  ["a Solaris VTOC", 524, "eede0d60", "solaris"],
  ["a dynamic disk", 3072, Buffer.from("PRIVHEAD").toString("hex"), "ldm"],
])("names %s as unsupported", async (_, offset, magic, type) => {
  const disk = Buffer.alloc(size);
  Buffer.from(magic, "hex").copy(disk, offset);
  const volume = await scanOne(disk);
  expect(volume).toMatchObject({ name: "disk", source: undefined, error: { code: "unsupported" } });
  expect(volume.error!.message).toContain(type);
});

test("never gives an empty list, however short the disk", async () => {
  for (const length of [0, 1, 511, 512, 513, 1024, 4096, 8192]) {
    const volumes = await scanVolumes(memorySource(Buffer.alloc(length)));
    expect(volumes).toMatchObject([{ name: "disk", source: undefined }]);
  }
});
