import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { DiskError } from "../../blocks/disk-error.ts";
import { decompress } from "./compression.ts";
import { measureZstdFrame } from "./zstd-frame.ts";

const inputs = [Buffer.alloc(0), Buffer.from("short"), Buffer.alloc(100_000, 1), randomBytes(131_072), Buffer.from("again and again ".repeat(5000))];

test("a frame ends where its encoder ended it", () => {
  for (const input of inputs) {
    for (const checksum of [0, 1]) {
      const frame = zstdCompressSync(input, { params: { [constants.ZSTD_c_checksumFlag]: checksum } });
      expect(measureZstdFrame(Buffer.concat([frame, randomBytes(500)]))).toBe(frame.length);
    }
  }
});

test("what follows a frame doesn't matter", () => {
  const frame = zstdCompressSync(Buffer.from("text ".repeat(1000)));
  expect(decompress(3, Buffer.concat([frame, randomBytes(100)]), 5000, 4096).toString()).toBe("text ".repeat(1000));
});

test("a frame that is cut short or none at all is corrupt", () => {
  const frame = zstdCompressSync(randomBytes(10_000));
  expect(() => measureZstdFrame(frame.subarray(0, 5000))).toThrow(DiskError);
  expect(() => measureZstdFrame(Buffer.alloc(100))).toThrow(DiskError);
});
