import { describe, expect, test } from "vitest";
import { DiskError } from "../blocks/disk-error.ts";
import { isQcow2, parseQcow2Header } from "./qcow2-header.ts";

/** A version 3 header of a 6 GiB disk with 64 KiB clusters, its fields set by hand from the specification. */
function makeHeader(change?: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(65_536);
  bytes.write("514649fb", 0, "hex");
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(6n << 30n, 24);
  bytes.writeUInt32BE(12, 36);
  bytes.writeBigUInt64BE(0x30000n, 40);
  bytes.writeBigUInt64BE(0x10000n, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(112, 100);
  change?.(bytes);
  return bytes;
}

function setBacking(bytes: Buffer, name: Buffer, offset = 1024): void {
  bytes.writeBigUInt64BE(BigInt(offset), 8);
  bytes.writeUInt32BE(name.length, 16);
  name.copy(bytes, offset);
}

function setExtensions(bytes: Buffer, ...extensions: [type: number, data: string][]): void {
  let at = bytes.readUInt32BE(100);
  for (const [type, data] of extensions) {
    bytes.writeUInt32BE(type, at);
    bytes.writeUInt32BE(data.length, at + 4);
    bytes.write(data, at + 8, "latin1");
    at += 8 + Math.ceil(data.length / 8) * 8;
  }
}

const refusal = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });

test("reads a plain version 3 header", () => {
  expect(parseQcow2Header(makeHeader())).toEqual({
    version: 3,
    clusterBytes: 65_536,
    virtualSizeBytes: 6 * 2 ** 30,
    backingFile: undefined,
    backingFormat: undefined,
    refcountTableOffset: 0x10000,
    refcountTableClusters: 1,
    refcountBits: 16,
    isDirty: false,
    compression: "zlib",
    hasExtendedL2: false,
  });
});

test("reads a version 2 header, whose extensions start at byte 72", () => {
  const bytes = makeHeader((header) => {
    header.writeUInt32BE(2, 4);
    header.fill(0, 72, 112);
    header.writeUInt32BE(0xe2792aca, 72);
    header.writeUInt32BE(5, 76);
    header.write("qcow2", 80);
    setBacking(header, Buffer.from("base"));
  });
  expect(parseQcow2Header(bytes)).toMatchObject({ version: 2, refcountBits: 16, backingFormat: "qcow2", backingFile: Buffer.from("base") });
});

test("reads the backing file's name byte for byte, and the stated format among other extensions", () => {
  const name = Buffer.from([0x2e, 0x2f, 0xff, 0x0a, 0x20]);
  const bytes = makeHeader((header) => {
    setBacking(header, name);
    setExtensions(header, [0x6803f857, "x".repeat(48)], [0xe2792aca, "raw"], [0x12345678, "y"]);
  });
  const header = parseQcow2Header(bytes);
  expect(Buffer.from(header.backingFile ?? []).equals(name)).toBe(true);
  expect(header.backingFormat).toBe("raw");
});

test("reads dirty, zstd and extended L2", () => {
  const bytes = makeHeader((header) => {
    header.writeUInt32BE(0b11001, 76);
    header.writeUInt8(1, 104);
  });
  expect(parseQcow2Header(bytes)).toMatchObject({ isDirty: true, compression: "zstd", hasExtendedL2: true });
});

test("knows its magic", () => {
  expect(isQcow2(makeHeader())).toBe(true);
  expect(isQcow2(Buffer.from("QFI"))).toBe(false);
  expect(isQcow2(Buffer.from("KDMV1234"))).toBe(false);
});

describe("refuses", () => {
  test.each<[string, "corrupt" | "unsupported", RegExp, (bytes: Buffer) => void]>([
    ["another magic", "corrupt", /expected 0x514649fb/, (bytes) => bytes.writeUInt8(0, 0)],
    ["version 1", "unsupported", /version 1/, (bytes) => bytes.writeUInt32BE(1, 4)],
    ["version 4", "unsupported", /version 4/, (bytes) => bytes.writeUInt32BE(4, 4)],
    ["AES", "unsupported", /AES/, (bytes) => bytes.writeUInt32BE(1, 32)],
    ["LUKS", "unsupported", /LUKS/, (bytes) => bytes.writeUInt32BE(2, 32)],
    ["encryption to come", "unsupported", /method 3/, (bytes) => bytes.writeUInt32BE(3, 32)],
    ["clusters too small", "corrupt", /cluster_bits 8/, (bytes) => bytes.writeUInt32BE(8, 20)],
    ["clusters too large", "corrupt", /cluster_bits 22/, (bytes) => bytes.writeUInt32BE(22, 20)],
    ["a disk of 2^53 bytes", "corrupt", /size 9007199254740992/, (bytes) => bytes.writeBigUInt64BE(1n << 53n, 24)],
    ["the corrupt mark", "corrupt", /marked the image corrupt/, (bytes) => bytes.writeUInt32BE(2, 76)],
    ["the external data file feature", "unsupported", /external data file/, (bytes) => bytes.writeUInt32BE(4, 76)],
    ["an external data file name", "unsupported", /external data file/, (bytes) => setExtensions(bytes, [0x44415441, "x.raw"])],
    ["an unknown feature", "unsupported", /feature 0x8000000000000020/, (bytes) => bytes.writeBigUInt64BE((1n << 63n) | 0x21n, 72)],
    ["an unknown compression", "unsupported", /compression type 2/, (bytes) => bytes.writeUInt8(2, 104)],
    ["refcounts too wide", "corrupt", /refcount_order 7/, (bytes) => bytes.writeUInt32BE(7, 96)],
    ["a short header", "corrupt", /header_length 96/, (bytes) => bytes.writeUInt32BE(96, 100)],
    ["an odd header length", "corrupt", /header_length 105/, (bytes) => bytes.writeUInt32BE(105, 100)],
    ["a header longer than a cluster", "corrupt", /header_length 65544/, (bytes) => bytes.writeUInt32BE(65_544, 100)],
    ["an extension that leaves the cluster", "corrupt", /leaves the first cluster/, (bytes) => bytes.writeBigUInt64BE(0x1_ffff_ffffn, 112)],
    ["endless extensions", "corrupt", /more than 64/, (bytes) => { for (let at = 112; at < 65_536; at += 8) bytes.writeUInt32BE(1, at); }],
    ["an empty backing name", "corrupt", /name of 0 bytes/, (bytes) => setBacking(bytes, Buffer.alloc(0))],
    ["a backing name too long", "corrupt", /name of 1024 bytes/, (bytes) => setBacking(bytes, Buffer.alloc(1024, "x"))],
    ["a backing name past the cluster", "corrupt", /inside the first cluster/, (bytes) => setBacking(bytes, Buffer.alloc(9, "x"), 65_528)],
    ["a backing name at 2^63", "corrupt", /inside the first cluster/, (bytes) => { bytes.writeBigUInt64BE(1n << 63n, 8); bytes.writeUInt32BE(4, 16); }],
    ["a zero byte in the backing name", "corrupt", /zero byte/, (bytes) => setBacking(bytes, Buffer.from("a\0b"))],
  ])("%s", (_what, code, message, change) => {
    expect(() => parseQcow2Header(makeHeader(change))).toThrow(refusal(code, message));
  });

  test.each([0, 1, 3, 4, 71, 103, 104, 111])("a file of %d bytes", (length) => {
    expect(() => parseQcow2Header(makeHeader().subarray(0, length))).toThrow(refusal("corrupt", /./));
  });
});

test("any damage to the header gives a header or a typed refusal, nothing else", () => {
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0);
  for (let round = 0; round < 3000; round += 1) {
    const bytes = makeHeader((header) => {
      setBacking(header, Buffer.from("base.qcow2"));
      setExtensions(header, [0xe2792aca, "qcow2"]);
      for (let count = 0; count < 4; count += 1) header.writeUInt8(random() >>> 24, (random() >>> 8) % 160);
    });
    try {
      parseQcow2Header(bytes.subarray(0, (random() >>> 8) % 4 === 0 ? (random() >>> 8) % 65_536 : 65_536));
    } catch (error) {
      expect(error).toBeInstanceOf(DiskError);
    }
  }
});
