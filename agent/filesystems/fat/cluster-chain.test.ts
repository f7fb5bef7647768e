import { expect, test } from "vitest";
import { counting } from "../../blocks/counting.ts";
import { memorySource } from "../../blocks/memory-source.ts";
import { ClusterChain } from "./cluster-chain.ts";
import { FatTable } from "./fat-table.ts";
import type { BootSector, FatBits } from "./boot-sector.ts";

const clusterCount = 4000;

/** A table alone, at the start of the source; entries by cluster number. */
function makeTable(fatBits: FatBits, entries: Record<number, number>): { table: FatTable; reads: () => number } {
  const bytes = Buffer.alloc(clusterCount * 4 + 16);
  for (const [key, value] of Object.entries(entries)) {
    const cluster = Number(key);
    if (fatBits === 32) bytes.writeUInt32LE(value, cluster * 4);
    else if (fatBits === 16) bytes.writeUInt16LE(value, cluster * 2);
    else {
      const at = cluster + (cluster >>> 1);
      const pair = bytes.readUInt16LE(at);
      bytes.writeUInt16LE((cluster & 1) === 0 ? (pair & 0xf000) | value : (pair & 0x000f) | (value << 4), at);
    }
  }
  const source = counting(memorySource(bytes));
  const boot = { fatBits, fatOffsetBytes: 0, fatBytes: bytes.length, clusterCount } as BootSector;
  return { table: new FatTable(source, boot), reads: () => source.reads };
}

async function follow(fatBits: FatBits, entries: Record<number, number>, first: number): Promise<ClusterChain> {
  const chain = new ClusterChain(makeTable(fatBits, entries).table, first, "a file");
  await chain.follow(Infinity);
  return chain;
}

const ends: Record<FatBits, number> = { 12: 0xff8, 16: 0xffff, 32: 0x0ffffff8 };
const bads: Record<FatBits, number> = { 12: 0xff7, 16: 0xfff7, 32: 0x0ffffff7 };

test.each([12, 16, 32] as const)("follows a fragmented chain of FAT%i as runs of consecutive clusters", async (bits) => {
  const chain = await follow(bits, { 5: 6, 6: 7, 7: 101, 101: 100, 100: 200, 200: 201, 201: ends[bits] }, 5);
  expect(chain.runs).toEqual([
    { index: 0, cluster: 5, count: 3 },
    { index: 3, cluster: 101, count: 1 },
    { index: 4, cluster: 100, count: 1 },
    { index: 5, cluster: 200, count: 2 },
  ]);
  expect(chain.end).toEqual({ error: undefined });
  expect([0, 2, 3, 4, 6, 7].map((index) => chain.runIndex(index))).toEqual([0, 0, 1, 2, 3, -1]);
});

test.each([12, 16, 32] as const)("ends with an error on a loop, a free, a bad and an impossible entry of FAT%i", async (bits) => {
  for (const [entries, message] of [
    [{ 5: 6, 6: 7, 7: 6 }, "comes back to cluster 6"],
    [{ 5: 5 }, "comes back to cluster 5"],
    [{ 5: 6, 6: 0 }, "is free"],
    [{ 5: 6, 6: bads[bits] }, "is marked bad"],
    [{ 5: 6, 6: 1 }, "points to 1"],
    [{ 5: 6, 6: clusterCount + 2 }, `points to ${clusterCount + 2}`],
  ] as const) {
    const chain = await follow(bits, entries, 5);
    expect(chain.end!.error!.message).toContain(message);
    expect(chain.end!.error!.code).toBe("corrupt");
  }
});

test("refuses a chain that starts outside the clusters", async () => {
  for (const first of [0, 1, clusterCount + 2]) {
    const chain = await follow(16, {}, first);
    expect(chain.length).toBe(0);
    expect(chain.end!.error!.message).toContain(`starts at cluster ${first}`);
  }
});

test("ignores the reserved high bits of FAT32 entries", async () => {
  expect((await follow(32, { 5: 0xf0000006, 6: 0xffffffff }, 5)).runs).toEqual([{ index: 0, cluster: 5, count: 2 }]);
});

test("reads the table in large pieces, once, and no further than asked", async () => {
  const entries = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [index + 2, index + 3]));
  const { table, reads } = makeTable(32, entries);
  const chain = new ClusterChain(table, 2, "a file");
  await chain.follow(10);
  expect(chain.length).toBe(10);
  await chain.follow(3000);
  expect(chain.length).toBe(3000);
  expect(reads()).toBe(1);
});
