import { expect, test } from "vitest";
import { assertNotCutShort } from "./qcow2-end.ts";
import type { Qcow2Header } from "./qcow2-header.ts";

const CLUSTER = 512;
const base: Qcow2Header = {
  version: 3,
  clusterBytes: CLUSTER,
  virtualSizeBytes: 1 << 20,
  backingFile: undefined,
  backingFormat: undefined,
  refcountTableOffset: CLUSTER,
  refcountTableClusters: 1,
  refcountBits: 16,
  isDirty: false,
  compression: "zlib",
  hasExtendedL2: false,
};

/** A file with its refcount table at cluster 1 and its one refcount block at cluster 2. */
function makeFile(change: (table: Buffer, block: Buffer) => void): Buffer {
  const file = Buffer.alloc(4 * CLUSTER);
  const table = file.subarray(CLUSTER, 2 * CLUSTER);
  table.writeBigUInt64BE(BigInt(2 * CLUSTER), 0);
  change(table, file.subarray(2 * CLUSTER, 3 * CLUSTER));
  return file;
}

/** Checks the file as if it had `clusters` clusters, the last of them one byte long. */
function check(file: Buffer, clusters: number, header: Partial<Qcow2Header> = {}): Promise<void> {
  const read = async (offset: number, length: number) => file.subarray(offset, offset + length);
  return assertNotCutShort({ ...base, ...header }, (clusters - 1) * CLUSTER + 1, read);
}

test.each<[bits: number, lastUsed: number, setCounter: (block: Buffer) => void]>([
  [1, 11, (block) => block.writeUInt8(0b1000, 1)],
  [2, 7, (block) => block.writeUInt8(0b0100_0000, 1)],
  [4, 5, (block) => block.writeUInt8(0b0001_0000, 2)],
  [8, 6, (block) => block.writeUInt8(1, 6)],
  [16, 9, (block) => block.writeUInt16BE(1, 18)],
  [32, 9, (block) => block.writeUInt32BE(0x0100_0000, 36)],
  [64, 9, (block) => block.writeBigUInt64BE(1n, 72)],
])("finds the last cluster in use with refcounts of %d bits", async (refcountBits, lastUsed, setCounter) => {
  const file = makeFile((_table, block) => setCounter(block));
  await check(file, lastUsed + 1, { refcountBits });
  await expect(check(file, lastUsed, { refcountBits })).rejects.toMatchObject({ code: "corrupt", message: expect.stringMatching(/cut short/) });
});

test("counts through all blocks of the table", async () => {
  // With 16 bits a block of 512 bytes has 256 counters; the second one starts at cluster 256.
  const file = makeFile((table, block) => {
    table.writeBigUInt64BE(BigInt(2 * CLUSTER), 8);
    block.writeUInt16BE(1, 20);
  });
  await check(file, 256 + 11);
  await expect(check(file, 256 + 10)).rejects.toMatchObject({ code: "corrupt" });
});

test.each<[string, Partial<Qcow2Header>, (table: Buffer) => void]>([
  ["a table past the end", { refcountTableOffset: 1 << 30 }, () => undefined],
  ["a table without an entry", {}, (table) => table.fill(0)],
  ["a block past the end", {}, (table) => table.writeBigUInt64BE(1n << 40n, 0)],
  ["a block at 2^63", {}, (table) => table.writeBigUInt64BE(1n << 63n, 0)],
  ["no table", { refcountTableClusters: 0 }, () => undefined],
  ["a table too large to read", { refcountTableClusters: 0xffff_ffff }, () => undefined],
])("%s is corrupt", async (_what, header, change) => {
  await expect(check(makeFile(change), 4, header)).rejects.toMatchObject({ code: "corrupt" });
});

test("a dirty image's refcounts count for nothing", async () => {
  await check(makeFile((table) => table.fill(0)), 4, { isDirty: true });
});
