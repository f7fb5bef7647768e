import { describe, expect, test } from "vitest";
import { findInodeError, parseAttributes, parseTimes } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

const version4 = { version: 4, inodeSizeBytes: 256 } as Superblock;

function inode(version: number): Buffer {
  const bytes = Buffer.alloc(256);
  bytes.writeUInt16BE(0x494e, 0);
  bytes.writeUInt16BE(0o100644, 2);
  bytes[4] = version;
  bytes[5] = 2;
  bytes.writeUInt32BE(3, 16);
  bytes.writeUInt16BE(7, 6);
  return bytes;
}

describe("times", () => {
  test("with bigtime count nanoseconds from 1901-12-13 20:45:52 on", () => {
    const bytes = inode(3);
    bytes.writeUInt32BE(0x8, 124);
    const set = (seconds: bigint, nanoseconds: bigint) => bytes.writeBigUInt64BE((seconds + 2n ** 31n) * 1_000_000_000n + nanoseconds, 40);
    // The earliest, the epoch, one before it, and the latest: 2486-07-02 20:20:24.
    for (const [seconds, nanoseconds] of [[-(2 ** 31), 0], [0, 0], [-1, 999_999_999], [16_299_260_424, 709_551_615]] as const) {
      set(BigInt(seconds), BigInt(nanoseconds));
      expect(parseAttributes(5, bytes, 0)).toMatchObject({ mtimeSeconds: seconds, mtimeNanoseconds: nanoseconds, mtimeDigits: 9 });
    }
  });

  test("without it are signed seconds and nanoseconds, and know no creation before version 3", () => {
    const bytes = inode(2);
    bytes.writeInt32BE(-5, 32);
    bytes.writeInt32BE(123, 36);
    expect(parseTimes(bytes)).toMatchObject({ accessedAt: { seconds: -5, nanoseconds: 123 }, createdAt: undefined });
  });
});

test("version 1 keeps its link count elsewhere", () => {
  expect(parseAttributes(5, inode(1), 0).linkCount).toBe(7);
  expect(parseAttributes(5, inode(2), 0).linkCount).toBe(3);
});

test("a size beyond 2^53 is exact", () => {
  const bytes = inode(2);
  bytes.writeBigUInt64BE(2n ** 63n - 1n, 56);
  expect(parseAttributes(5, bytes, 0).size).toBe(2n ** 63n - 1n);
  bytes.writeBigUInt64BE(2n ** 53n - 1n, 56);
  expect(parseAttributes(5, bytes, 0).size).toBe(Number.MAX_SAFE_INTEGER);
});

test.each([
  ["a free inode", 2, 0, "it is free"],
  ["a file in the inode itself", 5, 1, "di_format 1 of a regular file"],
  ["more extents than fit", 79, 200, "room for"],
  ["an attribute fork beyond the inode", 82, 60, "di_forkoff 60"],
  ["another magic", 0, 0, "magic 0x4e"],
])("%s is damage", (_, at, value, message) => {
  const bytes = inode(2);
  bytes[at] = value;
  if (at === 2) bytes.writeUInt16BE(0, 2);
  expect(findInodeError(version4, 5, bytes, 0, 0)?.message).toContain(message);
});
