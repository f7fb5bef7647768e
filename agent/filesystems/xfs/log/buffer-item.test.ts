import { expect, test } from "vitest";
import { parseBufferItem } from "./buffer-item.ts";
import { Cancellations } from "./cancellations.ts";

function format(flags: number, blocks: number, map: readonly number[]): Buffer {
  const bytes = Buffer.alloc(20 + map.length * 4);
  bytes.writeUInt16LE(0x123c, 0);
  bytes.writeUInt16LE(flags, 4);
  bytes.writeUInt16LE(blocks, 6);
  bytes.writeBigInt64LE(80n, 8);
  bytes.writeUInt32LE(map.length, 16);
  map.forEach((word, index) => bytes.writeUInt32LE(word, 20 + index * 4));
  return bytes;
}

const item = (...regions: Buffer[]) => ({ type: 0x123c, regions, regionCount: regions.length });

test("each run of bits is a region, and one run may be two", () => {
  // Bits 1 and 2, then 31 to 33.
  const parsed = parseBufferItem(item(format(0, 16, [0x80000006, 0x3]), Buffer.alloc(256, 1), Buffer.alloc(128, 2), Buffer.alloc(256, 3)));
  expect(parsed).toMatchObject({ offsetBytes: 80 * 512, lengthBytes: 8192, isCancel: false });
  expect(parsed.parts.map(({ at, bytes }) => [at, bytes.length, bytes[0]])).toEqual([[128, 256, 1], [31 * 128, 128, 2], [32 * 128, 256, 3]]);
});

test.each([
  ["chunks beyond the buffer", item(format(0, 1, [0x10]), Buffer.alloc(128)), "chunk 4 of 512"],
  ["a region shorter than a chunk", item(format(0, 1, [0x1]), Buffer.alloc(4)), "region of 4 bytes"],
  ["a buffer larger than any block", item(format(0, 200, [0x1]), Buffer.alloc(128)), "200 blocks"],
  ["a map that isn't there", item(format(0, 1, [0x1]).subarray(0, 20), Buffer.alloc(128)), "map of 1 words"],
])("%s are damage", (_, broken, message) => {
  expect(() => parseBufferItem(broken)).toThrow(message);
});

test("a cancelled buffer stays so until as many cancellations have passed", () => {
  expect(parseBufferItem(item(format(2, 8, [])))).toMatchObject({ isCancel: true, parts: [] });
  const cancellations = new Cancellations();
  cancellations.add(4096, 4096);
  cancellations.add(4096, 4096);
  cancellations.remove(4096, 4096);
  expect([cancellations.has(4096, 4096), cancellations.hasAt(4096), cancellations.has(4096, 512)]).toEqual([true, true, false]);
  cancellations.remove(4096, 4096);
  expect(cancellations.has(4096, 4096)).toBe(false);
});
