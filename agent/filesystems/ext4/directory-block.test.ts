import { expect, test } from "vitest";
import type { DirectoryEntry } from "../filesystem.ts";
import { parseDirectoryBlock, toRecordLength, type DirectoryFormat } from "./directory-block.ts";
import type { Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

const format: DirectoryFormat = {
  superblock: { inodeCount: 1000, fileTypeInDirectories: true, dirdata: false, metadataChecksums: false } as Superblock,
  directory: { number: 12, flags: 0 } as Inode,
  showEncryptedName: undefined,
  encryptedNameError: undefined,
};

interface RawEntry {
  inode: number;
  name: string;
  type?: number;
  length?: number;
}

function makeBlock(entries: readonly RawEntry[], size = 1024): Buffer {
  const block = Buffer.alloc(size);
  let at = 0;
  entries.forEach(({ inode, name, type = 1, length }, i) => {
    const recordLength = length ?? (i === entries.length - 1 ? size - at : (8 + name.length + 3) & ~3);
    block.writeUInt32LE(inode, at);
    block.writeUInt16LE(recordLength, at + 4);
    block[at + 6] = name.length;
    block[at + 7] = type;
    block.write(name, at + 8, "latin1");
    at += recordLength;
  });
  return block;
}

function parse(entries: readonly RawEntry[]): DirectoryEntry<number>[] {
  const parsed: DirectoryEntry<number>[] = [];
  parseDirectoryBlock(format, makeBlock(entries), 3, 40_960, parsed);
  return parsed;
}

const dots: RawEntry[] = [{ inode: 12, name: ".", type: 2 }, { inode: 2, name: "..", type: 2 }];

test("gives names in order, without the dots and what was deleted", () => {
  const entries = parse([...dots, { inode: 20, name: "file" }, { inode: 0, name: "deleted" }, { inode: 21, name: "folder", type: 2 }, { inode: 22, name: "pipe", type: 5 }]);
  expect(entries).toEqual([
    { name: "file", node: 20, type: "file" },
    { name: "folder", node: 21, type: "directory" },
    { name: "pipe", node: 22, type: "other" },
  ]);
});

test.each([
  ["too short", 8, /rec_len 8/],
  ["not a multiple of four", 15, /rec_len 15/],
  ["leaving the block", 2000, /leaves the block/],
  ["too small for the name", 12, /too small for a name of 9 bytes/],
])("keeps what comes before a record length that is %s, and says so", (_, length, message) => {
  const entries = parse([...dots, { inode: 20, name: "kept" }, { inode: 21, name: "broken123", length }]);
  expect(entries.map((entry) => entry.name)).toEqual(["kept", "#damaged-directory-block-3"]);
  expect(entries[1]!.error).toMatchObject({ code: "corrupt", message: expect.stringMatching(message) });
});

test.each([
  ["an inode that doesn't exist", { inode: 1001, name: "name" }, "name", /inode 1001/],
  ["a slash in its name", { inode: 20, name: "a/b" }, "a_b", /slash or NUL/],
  ["NUL in its name", { inode: 20, name: "a\0b" }, "a_b", /slash or NUL/],
  ["no name", { inode: 20, name: "", length: 12 }, "#unnamed-inode-20", /empty/],
  ["the root directory's inode", { inode: 2, name: "up" }, "up", /root directory/],
  ["its own directory's inode", { inode: 12, name: "self" }, "self", /directory itself/],
])("lists an entry with %s, with the error", (_, entry, shown, message) => {
  const entries = parse([...dots, entry, { inode: 30, name: "after" }]);
  expect(entries.map(({ name }) => name)).toEqual([shown, "after"]);
  expect(entries[0]!.error).toMatchObject({ code: "corrupt", message: expect.stringMatching(message) });
  expect(entries[1]!.error).toBeUndefined();
});

test.each([[65_535, 65_536], [0, 65_536], [65_532, 65_532], [1, 65_536], [12, 12]])("with 64 KiB blocks a stored length of %i means %i", (stored, length) => {
  expect(toRecordLength(stored, 65_536)).toBe(length);
});
