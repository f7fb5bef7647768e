import { expect, test } from "vitest";
import type { DirectoryEntry } from "../filesystem.ts";
import { parseDirectoryBlock } from "./directory-block.ts";
import type { DirectoryFormat } from "./directory-entry.ts";

const superblock = {
  version: 4, blockSizeBytes: 512, inodeSizeBytes: 256, inodesPerBlockLog: 1, groupBlocks: 4096, groupBlockLog: 12, groupCount: 1, blockCount: 4096,
  fileTypes: false, rootInode: 64,
};
const format = { superblock, directory: { number: 70, offsetBytes: 0 } } as DirectoryFormat;

/** "first" at 16, unused space, "second" at 64, the rest unused. */
function makeBlock(): Buffer {
  const block = Buffer.alloc(512);
  block.write("XD2D", 0, "latin1");
  const name = (at: number, inode: bigint, text: string, length: number) => {
    block.writeBigUInt64BE(inode, at);
    block[at + 8] = text.length;
    block.write(text, at + 9, "latin1");
    block.writeUInt16BE(at, at + length - 2);
  };
  const unused = (at: number, length: number) => {
    block.writeUInt16BE(0xffff, at);
    block.writeUInt16BE(length, at + 2);
  };
  name(16, 100n, "first", 16);
  unused(32, 32);
  name(64, 101n, "second", 24);
  unused(88, 512 - 88);
  return block;
}

function parse(block: Buffer): DirectoryEntry<number>[] {
  const entries: DirectoryEntry<number>[] = [];
  parseDirectoryBlock(format, block, 3, 8192, true, entries);
  return entries;
}

test("names are found between unused space", () => {
  expect(parse(makeBlock())).toEqual([
    { name: "first", node: 100, type: undefined }, { name: "second", node: 101, type: undefined },
  ]);
});

test.each([
  ["unused space without length", 34, 0, "unused space of 0 bytes"],
  ["a name that leaves the block", 72, 255, "tag"],
  ["a wrong tag", 87, 9, "tag 9"],
])("%s ends the block with an entry that says so", (_, at, value, message) => {
  const block = makeBlock();
  block.writeUInt8(value, at);
  if (at === 34) block.writeUInt16BE(0, 34);
  const entries = parse(block);
  expect(entries[0]).toMatchObject({ name: "first" });
  expect(entries.at(-1)).toMatchObject({ name: "#damaged-directory-block-3", error: { code: "corrupt", message: expect.stringContaining(message) } });
});

test("a block of another kind, or with an index larger than itself, is damage", () => {
  expect(parse(Buffer.alloc(512))).toMatchObject([{ error: { message: expect.stringContaining("magic 0x0") } }]);
  const block = makeBlock();
  block.write("XD2B", 0, "latin1");
  block.writeUInt32BE(0xffffffff, 504);
  expect(parse(block)).toMatchObject([{ error: { message: expect.stringContaining("more than fit") } }]);
});

test("an entry of an inode that can't be, or of the directory itself, carries its error", () => {
  const block = makeBlock();
  block.writeBigUInt64BE(2n ** 60n, 16);
  block.writeBigUInt64BE(70n, 64);
  expect(parse(block)).toMatchObject([
    { name: "first", error: { message: expect.stringContaining("no place") } }, { name: "second", error: { message: expect.stringContaining("itself") } },
  ]);
});
