import { describe, expect, test } from "vitest";
import { DiskError } from "../../blocks/disk-error.ts";
import { decodeLzo1x } from "../lzo1x.ts";
import { decodeLzoSegments } from "./lzo.ts";

// Streams put together by hand from Linux Documentation/staging/lzo.rst. What Linux itself compresses is read in
// test/btrfs.
const end = [0x11, 0, 0];

function decode(bytes: readonly number[], room = 4096): string {
  const output = new Uint8Array(room);
  return Buffer.from(output.buffer, 0, decodeLzo1x(Uint8Array.from(bytes), output)).toString("latin1");
}

const ascii = (text: string): number[] => [...Buffer.from(text, "latin1")];

describe("lzo streams", () => {
  test("copy the literals that the first byte counts", () => {
    expect(decode([17 + 5, ...ascii("hello"), ...end])).toBe("hello");
  });

  test("copy long literals", () => {
    const text = "x".repeat(300);
    // 300 = 3 + 15 + 255 + 27
    expect(decode([0, 0, 27, ...ascii(text), ...end])).toBe(text);
  });

  test("repeat what they just wrote", () => {
    // A match of 6 bytes, 3 back: (6 - 1) << 5 | (3 - 1) << 2.
    expect(decode([17 + 3, ...ascii("abc"), 0b101_010_00, 0, ...end])).toBe("abcabcabc");
  });

  test("add up to three literals behind a match", () => {
    expect(decode([17 + 3, ...ascii("abc"), 0b101_010_10, 0, ...ascii("yz"), ...end])).toBe("abcabcabcyz");
  });

  test("reach back further with longer instructions", () => {
    // 32 + (n - 2) and the distance less 1, 14 bits above 2 of literals.
    expect(decode([17 + 4, ...ascii("abcd"), 32 + 8, (4 - 1) << 2, 0, ...end])).toBe(`abcd${"abcdabcdab"}`);
  });

  test.each([
    ["no end", [17 + 3, ...ascii("abc")]],
    ["literals behind their end", [17 + 5, ...ascii("abc")]],
    ["a match before their start", [17 + 3, ...ascii("abc"), 0b101_111_00, 1, ...end]],
    ["a length without an end", [0, 0, 0, 0]],
    ["nothing", []],
  ])("with %s are corrupt", (_name, bytes) => {
    expect(() => decode(bytes)).toThrow(DiskError);
  });

  test("never write behind the room they have", () => {
    expect(() => decode([17 + 5, ...ascii("hello"), ...end], 4)).toThrow(DiskError);
    expect(() => decode([17 + 3, ...ascii("abc"), 0b101_010_00, 0, ...end], 8)).toThrow(DiskError);
  });
});

describe("segments of lzo", () => {
  const segment = (bytes: readonly number[]): Buffer => {
    const header = Buffer.alloc(4);
    header.writeUInt32LE(bytes.length);
    return Buffer.concat([header, Buffer.from(bytes)]);
  };
  const frame = (body: Buffer): Buffer => {
    const header = Buffer.alloc(4);
    header.writeUInt32LE(4 + body.length);
    return Buffer.concat([header, body]);
  };

  test("follow one another, and zeros fill what they leave", () => {
    const body = Buffer.concat([segment([17 + 5, ...ascii("hello"), ...end]), segment([17 + 5, ...ascii("world"), ...end])]);
    expect(decodeLzoSegments(frame(body), 12, 4096).toString("latin1")).toBe("helloworld\0\0");
  });

  test("skip the end of a sector too short for a length", () => {
    // Literals only, so long that 2 bytes are left of the sector of 4096 behind the first segment.
    const literals = 4096 - 2 - 4 - 4 - 3 - 17;
    const count = literals - 3 - 15;
    const first = segment([0, ...Array.from({ length: Math.floor((count - 1) / 255) }, () => 0), ((count - 1) % 255) + 1, ...Array.from({ length: literals }, () => 0x61), ...end]);
    expect(4 + first.length).toBe(4094);
    const second = segment([17 + 5, ...ascii("hello"), ...end]);
    const decoded = decodeLzoSegments(frame(Buffer.concat([first, Buffer.from([9, 9]), second])), literals + 5, 4096);
    expect(decoded.toString("latin1")).toBe(`${"a".repeat(literals)}hello`);
  });

  test.each([
    ["a length beyond the data", Buffer.from([0xff, 0, 0, 0, 1, 0, 0, 0])],
    ["a segment beyond the data", frame(Buffer.from([0xff, 0, 0, 0, 1]))],
    ["too few bytes", Buffer.from([4, 0])],
  ])("with %s are corrupt", (_name, bytes) => {
    expect(() => decodeLzoSegments(bytes, 4096, 4096)).toThrow(DiskError);
  });
});
