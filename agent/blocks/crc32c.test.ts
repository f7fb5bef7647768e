import { expect, test } from "vitest";
import { crc32c, crc32cUpdate, crc32cUpdateUint32 } from "./crc32c.ts";

// The vectors of RFC 3720, appendix B.4 (there as bytes in wire order).
const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
test.each([
  ["32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 ascending bytes", ascending, 0x46dd794e],
  ["32 descending bytes", ascending.toReversed(), 0x113fdb5c],
  ["the digits 1 to 9", Buffer.from("123456789"), 0xe3069283],
  ["nothing", new Uint8Array(0), 0],
])("gives the published checksum of %s", (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

test("a checksum taken in parts equals the checksum of the whole", () => {
  const text = "the quick brown fox jumps over the lazy dog, twice if it must, and then once more for good measure";
  const bytes = Buffer.from(text);
  for (let split = 0; split <= bytes.length; split++) {
    const register = crc32cUpdate(crc32cUpdate(0xffffffff, bytes, 0, split), bytes, split);
    expect(~register >>> 0).toBe(crc32c(bytes));
  }
});

test("a number counts as its four little-endian bytes", () => {
  expect(crc32cUpdateUint32(0x12345678, 0x89abcdef)).toBe(crc32cUpdate(0x12345678, Uint8Array.of(0xef, 0xcd, 0xab, 0x89)));
});

test("alignment in the underlying buffer makes no difference", () => {
  const plain = Uint8Array.from({ length: 300 }, (_, index) => (index * 7919) & 0xff);
  const room = new Uint8Array(310);
  for (let shift = 0; shift < 9; shift++) {
    room.set(plain, shift);
    expect(crc32c(room, shift, shift + plain.length)).toBe(crc32c(plain));
    expect(crc32c(room.subarray(shift, shift + plain.length))).toBe(crc32c(plain));
  }
});
