import { describe, expect, test } from "vitest";
import { openChecksum } from "./checksum.ts";

// Published test vectors: RFC 3720 B.4 is in crc32c.test.ts; xxHash's own for "abc"; FIPS 180-2; RFC 7693's
// algorithm with 32 bytes, as b2sum -l 256 prints it.
const text = Buffer.from("..abc..");
const vectors = [
  [0, "crc32c", "b73f4b36"],
  [1, "xxhash64", "990977adf52cbc44"],
  [2, "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [3, "blake2b", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"],
] as const;

describe("checksums", () => {
  test.each(vectors)("type %d is %s", async (type, name, hex) => {
    const checksum = await openChecksum(type);
    const stored = Buffer.concat([Buffer.alloc(5), Buffer.from(hex, "hex")]);
    expect(checksum.name).toBe(name);
    expect(checksum.sizeBytes).toBe(stored.length - 5);
    expect(checksum.matches(text, 2, 5, stored, 5)).toBe(true);
    expect(checksum.matches(text, 2, 6, stored, 5)).toBe(false);
    stored[5]! ^= 1;
    expect(checksum.matches(text, 2, 5, stored, 5)).toBe(false);
  });
});
