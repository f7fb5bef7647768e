import { expect, test } from "vitest";
import type { BlockSource } from "./block-source.ts";
import { memorySource } from "./memory-source.ts";
import { slice } from "./slice.ts";

const disk = memorySource(Uint8Array.from({ length: 256 }, (_, index) => index));

test("reads its own bytes by its own offsets", async () => {
  const part = slice(disk, 10, 100);
  expect(part.sizeBytes).toBe(100);
  expect([...(await part.read(5, 3))]).toEqual([15, 16, 17]);
  const target = new Uint8Array(2);
  await part.readInto(98, target);
  expect([...target]).toEqual([108, 109]);
});

test("never reads past its end, even where the source goes on", async () => {
  const part = slice(disk, 10, 100);
  expect(() => part.read(99, 2)).toThrow(expect.objectContaining({ code: "corrupt" }));
  await expect(part.readInto(99, new Uint8Array(2))).rejects.toMatchObject({ code: "corrupt" });
  await expect(part.extents(99, 2)).rejects.toMatchObject({ code: "corrupt" });
});

test("a slice of a slice counts from the inner start", async () => {
  const inner = slice(slice(disk, 10, 100), 20, 30);
  expect(inner.sizeBytes).toBe(30);
  expect([...(await inner.read(0, 1))]).toEqual([30]);
});

test("refuses to reach past the source", () => {
  expect(() => slice(disk, 200, 57)).toThrow(expect.objectContaining({ code: "corrupt" }));
  expect(() => slice(slice(disk, 10, 100), 90, 11)).toThrow(expect.objectContaining({ code: "corrupt" }));
});

test("gives extents in its own offsets", async () => {
  const source: BlockSource = {
    sizeBytes: 256,
    read: disk.read.bind(disk),
    readInto: disk.readInto.bind(disk),
    extents: async (offset, length) => [
      { offset, length: 4, hole: true },
      { offset: offset + 4, length: length - 4, hole: false },
    ],
  };
  expect(await slice(source, 100, 50).extents(10, 20)).toEqual([
    { offset: 10, length: 4, hole: true },
    { offset: 14, length: 16, hole: false },
  ]);
});
