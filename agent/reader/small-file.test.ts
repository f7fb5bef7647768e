import { expect, test } from "vitest";
import type { BlockSource } from "../blocks/block-source.ts";
import { cacheBlockBytes, cached } from "../blocks/cached.ts";
import { memorySource } from "../blocks/memory-source.ts";
import type { FileExtent, FileSystem } from "../filesystems/filesystem.ts";
import { FakeFileSystem, fakeFile, fakeFolder } from "./fake-file-system.ts";
import { packGroup, unpackGroup } from "./pack-walk.ts";
import { readSmallFile, smallFileBytes } from "./small-file.ts";

const disk = Uint8Array.from({ length: 4 * cacheBlockBytes }, (_, index) => (index * 31 + (index >> 8)) & 0xff);

function fileOf(extents: FileExtent[]): [FileSystem, unknown] {
  const file = fakeFile("", { extents });
  return [new FakeFileSystem(fakeFolder({ file })) as FileSystem, file];
}

function data(source: BlockSource, offset: number, sourceOffset: number, length: number): FileExtent {
  return { kind: "data", offset, length, source, sourceOffset };
}

test.each([
  ["a whole block of the cache", cacheBlockBytes, smallFileBytes],
  ["a part of a block", cacheBlockBytes + 512, 4096],
  ["over two blocks", cacheBlockBytes - 2048, 4096],
])("%s: giving its bytes away takes nothing from the cache", async (_, sourceOffset, length) => {
  const source = cached(memorySource(disk));
  const [fileSystem, node] = fileOf([data(source, 0, sourceOffset, length)]);
  const expected = Buffer.from(disk.subarray(sourceOffset, sourceOffset + length));
  for (let round = 0; round < 3; round += 1) {
    const bytes = await readSmallFile(fileSystem, node, length);
    const group = packGroup([{ kind: "data", bytes }]);
    // As it crosses to the other thread.
    const received = structuredClone(group, { transfer: [group.bytes.buffer as ArrayBuffer] });
    const [item] = [...unpackGroup(received)];
    expect(item?.kind === "data" && Buffer.from(item.bytes).equals(expected)).toBe(true);
  }
});

test("pieces, holes and decoded bytes are put together", async () => {
  const source = cached(memorySource(disk));
  const extents: FileExtent[] = [
    data(source, 0, 100, 50),
    { kind: "hole", offset: 50, length: 30 },
    { kind: "inline", offset: 80, length: 4, bytes: Buffer.from("abcd") },
    { kind: "decoded", offset: 84, length: 6, read: async () => Buffer.from("decode") },
  ];
  const [fileSystem, node] = fileOf(extents);
  const bytes = await readSmallFile(fileSystem, node, 90);
  expect(Buffer.from(bytes)).toEqual(Buffer.concat([disk.subarray(100, 150), Buffer.alloc(30), Buffer.from("abcddecode")]));
});

test("a file of nothing but a hole is zeros; one decoded too short is corrupt", async () => {
  const [hole, holeNode] = fileOf([{ kind: "hole", offset: 0, length: 100 }]);
  expect(Buffer.from(await readSmallFile(hole, holeNode, 100)).equals(Buffer.alloc(100))).toBe(true);
  const [short, shortNode] = fileOf([{ kind: "decoded", offset: 0, length: 10, read: async () => Buffer.from("short") }]);
  await expect(readSmallFile(short, shortNode, 10)).rejects.toMatchObject({ code: "corrupt" });
});
