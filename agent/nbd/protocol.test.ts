import { expect, test } from "vitest";
import {
  encodeGo,
  encodeOption,
  encodeRequest,
  encodeSetMetaContext,
  parseBlockStatus,
  parseErrorChunk,
  parseGreeting,
  parseInfo,
  parseOptionReplyHeader,
  parseReplyStart,
} from "./protocol.ts";

// The byte strings here are written by hand from the protocol's text, not taken from the encoders.
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("encodes a request", () => {
  const request = encodeRequest({ flags: 4, type: 7, cookie: 5, offset: 2 ** 32 + 512, length: 4096 });
  expect(Buffer.from(request).toString("hex")).toBe(
    "25609513" + "0004" + "0007" + "0000000000000005" + "0000000100000200" + "00001000",
  );
});

test("encodes options", () => {
  expect(Buffer.from(encodeOption(8)).toString("hex")).toBe("49484156454f5054" + "00000008" + "00000000");
  expect(Buffer.from(encodeGo("ab", [0, 3])).toString("hex")).toBe("00000002" + "6162" + "0002" + "0000" + "0003");
  expect(Buffer.from(encodeSetMetaContext("", "x:y")).toString("hex")).toBe("00000000" + "00000001" + "00000003" + "783a79");
});

test("takes a fixed newstyle greeting and no other", () => {
  expect(parseGreeting(hex("4e42444d41474943 49484156454f5054 0003"))).toBe(3);
  expect(() => parseGreeting(hex("4e42444d41474943 49484156454f5054 0002"))).toThrow(/fixed newstyle/);
  expect(() => parseGreeting(hex("4e42444d41474943 00420281861253 0000000000"))).toThrow(/newstyle/);
  expect(() => parseGreeting(hex("485454502f312e31 2034303020426164 2052"))).toThrow(/NBDMAGIC/);
});

test("refuses an option reply that is not one, or too long", () => {
  expect(parseOptionReplyHeader(hex("0003e889045565a9 00000007 00000003 0000000c"))).toEqual({ option: 7, type: 3, lengthBytes: 12 });
  expect(() => parseOptionReplyHeader(hex("0003e889045565a8 00000007 00000003 0000000c"))).toThrow(/option reply starts/);
  expect(() => parseOptionReplyHeader(hex("0003e889045565a9 00000007 00000003 ffffffff"))).toThrow(/4294967295/);
});

test("reads export and block size infos", () => {
  expect(parseInfo(hex("0000 0000000180000000 008d"))).toEqual({ kind: "export", sizeBytes: 6 * 2 ** 30, flags: 0x8d });
  expect(parseInfo(hex("0003 00000200 00001000 02000000"))).toEqual({
    kind: "block-size",
    minimum: 512,
    preferred: 4096,
    maximum: 32 * 2 ** 20,
  });
  expect(parseInfo(hex("0001 6162"))).toEqual({ kind: "other" });
});

test.each([
  "0000 0020000000000000 0001", // 2^53 bytes
  "0000 00000000",
  "0003 00000000 00001000 02000000",
  "0003 00000300 00001000 02000000",
  "0003 00001000 00001000 00000200",
  "0003 00020000 00020000 02000000",
])("refuses the info %s", (text) => {
  expect(() => parseInfo(hex(text))).toThrow();
});

test("tells simple replies, chunks and garbage apart", () => {
  expect(parseReplyStart(hex("67446698 00000005 0000000000000009"))).toEqual({ kind: "simple", cookie: 9, error: 5 });
  expect(parseReplyStart(hex("668e33ef 0001 8001 0000000000000009"))).toEqual({ kind: "chunk", cookie: 9, type: 0x8001, done: true });
  expect(() => parseReplyStart(hex("00000000 0001 8001 0000000000000009"))).toThrow(/reply starts with 0x0/);
});

test("reads a block status, and refuses empty ranges and odd lengths", () => {
  expect(parseBlockStatus(hex("00000001 00010000 00000003"))).toEqual({ contextId: 1, descriptors: [{ length: 65_536, flags: 3 }] });
  expect(() => parseBlockStatus(hex("00000001 00000000 00000003"))).toThrow(/empty/);
  expect(() => parseBlockStatus(hex("00000001"))).toThrow(/4 bytes/);
  expect(() => parseBlockStatus(hex("00000001 00010000 0000"))).toThrow(/10 bytes/);
});

test("says what an error chunk says", () => {
  expect(parseErrorChunk(32769, hex("00000005 0003 626164"))).toBe("EIO: bad");
  expect(parseErrorChunk(32770, hex("00000016 0000 0000000000000200"))).toBe("EINVAL at byte 512");
  expect(() => parseErrorChunk(32769, hex("00000005 0009 626164"))).toThrow(/error chunk/);
});
