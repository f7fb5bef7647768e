import { expect, test } from "vitest";
import { memorySource } from "../../blocks/memory-source.ts";
import { squashfs } from "./driver.ts";
import { MAGIC, parseSuperblock, SUPERBLOCK_BYTES } from "./superblock.ts";

/** An empty filesystem of 4096 bytes by the format's description. */
function superblock(change: (bytes: DataView) => void = () => undefined): Uint8Array {
  const view = new DataView(new ArrayBuffer(4096));
  view.setUint32(0, MAGIC, true);
  view.setUint32(12, 131_072, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 17, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 4, true);
  view.setBigUint64(40, 4096n, true);
  for (const [offset, position] of [[48, 1000n], [56, ~0n], [64, 100n], [72, 200n], [80, 300n]] as const) view.setBigUint64(offset, BigInt.asUintN(64, position), true);
  change(view);
  return new Uint8Array(view.buffer);
}

test("tells tables that are there from those that aren't", () => {
  expect(parseSuperblock(superblock(), 4096)).toMatchObject({
    compression: "gzip", blockBytes: 131_072, inodeTable: 100, directoryTable: 200, idTable: 1000, xattrIdTable: undefined, fragmentTable: undefined,
  });
});

test.each<[string, (view: DataView) => void, string, string]>([
  ["an older version", (view) => view.setUint16(28, 3, true), "unsupported", "squashfs version 3.0"],
  ["lzma", (view) => view.setUint16(20, 2, true), "unsupported", "compression lzma"],
  ["an unknown compression", (view) => view.setUint16(20, 9, true), "unsupported", "compression 9"],
  ["a block size that isn't its logarithm", (view) => view.setUint16(22, 16, true), "corrupt", "block size 131072 with logarithm 16"],
  ["blocks that are too large", (view) => { view.setUint32(12, 2 ** 21, true); view.setUint16(22, 21, true); }, "corrupt", "block size 2097152"],
  ["a volume that is cut off", (view) => view.setBigUint64(40, 5000n, true), "corrupt", "5000 bytes used of a volume of 4096"],
  ["a table outside", (view) => view.setBigUint64(64, 9999n, true), "corrupt", "a table at byte 9999"],
  ["tables in the wrong order", (view) => view.setBigUint64(72, 99n, true), "corrupt", "before the inode table"],
  ["no ids", (view) => view.setUint16(26, 0, true), "corrupt", "no ids"],
])("refuses %s", (_, change, code, message) => {
  let error: unknown;
  try {
    parseSuperblock(superblock(change), 4096);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
});

test("recognises its magic only where a superblock fits", async () => {
  expect(await squashfs.probe(memorySource(Buffer.from(superblock())))).toBe(true);
  expect(await squashfs.probe(memorySource(Buffer.from(superblock()).subarray(0, SUPERBLOCK_BYTES - 1)))).toBe(false);
  expect(await squashfs.probe(memorySource(Buffer.alloc(4096)))).toBe(false);
});

test("calls an inode table that isn't one corrupt", async () => {
  await expect(squashfs.open(memorySource(Buffer.from(superblock())))).rejects.toMatchObject({ code: "corrupt" });
});
