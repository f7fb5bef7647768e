import { expect, test } from "vitest";
import { crc32cUpdate } from "../../../blocks/crc32c.ts";
import { memorySource } from "../../../blocks/memory-source.ts";
import { scanFastCommits } from "./fast-commit-tags.ts";
import type { JournalSuperblock } from "./journal-superblock.ts";
import { LogReader } from "./log-reader.ts";

const blockSize = 1024;
const sequence = 77;

function tag(code: number, value: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16LE(code, 0);
  header.writeUInt16LE(value.length, 2);
  return Buffer.concat([header, value]);
}

const words = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const head = (transaction = sequence, features = 0) => tag(9, words(features, transaction));
const link = (parent: number, inode: number, name: string) => tag(4, Buffer.concat([words(parent, inode), Buffer.from(name)]));

/** One fast commit in a block of its own: tags, then a tail that fills the block. */
function commit(tags: readonly Buffer[], { transaction = sequence, damaged = false } = {}): Buffer {
  const body = Buffer.concat(tags);
  const tail = Buffer.alloc(blockSize - body.length);
  tail.writeUInt16LE(8, 0);
  tail.writeUInt16LE(tail.length - 4, 2);
  tail.writeUInt32LE(transaction, 4);
  const crc = crc32cUpdate(crc32cUpdate(0, body), tail, 0, 8);
  tail.writeUInt32LE((damaged ? crc ^ 1 : crc) >>> 0, 8);
  return Buffer.concat([body, tail]);
}

function scan(...blocks: Buffer[]) {
  // Block 0 stands for the rest of the journal.
  const bytes = Buffer.concat([Buffer.alloc(blockSize), ...blocks, Buffer.alloc(blockSize * 2)]);
  const count = bytes.length / blockSize;
  const log = new LogReader(memorySource(bytes), [{ logical: 0, count, physical: 0 }], blockSize);
  return scanFastCommits(log, { fastCommitBlocks: { start: 1, end: count } } as JournalSuperblock, sequence, 256);
}

test("gives the tags of every whole fast commit in order", async () => {
  const tags = await scan(commit([head(), link(2, 20, "a"), link(2, 21, "b")]), commit([link(2, 22, "c")]));
  expect(tags).toEqual([
    { kind: "link", parent: 2, inode: 20, name: "a" },
    { kind: "link", parent: 2, inode: 21, name: "b" },
    { kind: "link", parent: 2, inode: 22, name: "c" },
  ]);
});

test("reads ranges, unwritten ones too", async () => {
  const extent = Buffer.alloc(12);
  extent.writeUInt32LE(5, 0);
  extent.writeUInt16LE(32_768 + 3, 4);
  extent.writeUInt16LE(1, 6);
  extent.writeUInt32LE(9, 8);
  const tags = await scan(commit([head(), tag(1, Buffer.concat([words(20), extent])), tag(2, words(20, 7, 8))]));
  expect(tags).toEqual([
    { kind: "add-range", inode: 20, logical: 5, count: 3, physical: 2 ** 32 + 9, unwritten: true },
    { kind: "del-range", inode: 20, logical: 7, count: 8 },
  ]);
});

test.each([
  ["whose checksum is wrong", commit([link(2, 22, "c")], { damaged: true })],
  ["of an older transaction", commit([link(2, 22, "c")], { transaction: sequence - 1 })],
  ["with a tag of impossible length", Buffer.concat([tag(4, words(2)), commit([]).subarray(8)])],
  ["with a tag nobody knows", Buffer.concat([tag(99, words(2)), commit([]).subarray(8)])],
])("ends before a fast commit %s", async (_, second) => {
  const tags = await scan(commit([head(), link(2, 20, "a")]), second);
  expect(tags.map((found) => found.inode)).toEqual([20]);
});

test("gives nothing when the area is of another transaction or was never used", async () => {
  expect(await scan(commit([head(sequence - 1), link(2, 20, "a")]))).toEqual([]);
  expect(await scan(Buffer.alloc(blockSize))).toEqual([]);
});

test("refuses a feature it doesn't know", async () => {
  await expect(scan(commit([head(sequence, 4), link(2, 20, "a")]))).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("0x4") });
});
