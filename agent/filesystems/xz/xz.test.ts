import { describe, expect, test } from "vitest";
import { decodeXz } from "./xz.ts";

// Made by liblzma (Python's lzma module) from this text.
const text = Buffer.concat([Buffer.from("the quick brown fox jumps over the lazy dog; ".repeat(20)), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))]);
const streams = {
  crc32: "/Td6WFoAAAFpIt42AgAhAQgAAADYDyMT4ASDARddADoaCM52x+Xp1gc0w9EOv85V4aq94OSPmAHdjeUHVJ5lJV8nOmp+tNNJBVEjhN3ufQEDv/XgrZOJCbpFR7xzRXXty9VHW3VFWWX/T2rdGn54THiwA5ixduvmrq4qa4/LrWjDfJWdh5dazGQK1Z6gKK1B0OINYwR7dayhC/KpKv3Vfxc3pb4GmXfRV+O0qjKlB6mA9i27jRJX6lDUQ59SF0Tt7h4fBGmzPjaIRIi8J/16X8MXhZQyq8tAcMABX2KJkrBsODQ0HHhy42lHReb8WfBBPhmz0DQAS6Wm/tWdL8VaYf73nzBwTuEID1dlsC/R8oUkVAotrKaksAIxJXAWrl8x8nI7WmrgxGMscvskC83V1/wXjy+k3gAAFI2KbQABrwKECQAAZT41PD4wDYsCAAAAAAFZWg==",
  sha256: "/Td6WFoAAArh+wyhAgAhAQgAAADYDyMT4ASDATcSADoa2dR0NQ9YjRPMXcAQIULvkj/7gybRKoKlrVF5sM9emeHRWnk7hzVpzX6gPF5DUG/NO1HNDiJ6dgbixwq5wgsvKhF1gBaYDXnrwCFVqKeFe97AOo/Z6WE2n7u/Sz3Wz0vvWIRCCSf5IN1rtOGD6QxQoZXc3MNgWayrA/Ep+1bi+mzL59i4DaDPQRq4nVYUvV17sPFnpj6HyQ6jeYcYFNV2F+eBBhqvrxZLMOpoXyHjZmQtZewF631Y/p7KMXXHlqszOg4+YX6Ddr8VUgYKLgXU8CcetyR3tzjfny8Hzfoely8rsn8mBz4A3+MKFHBfWqZsRZMV0AoJEqqDlFJ/g+bZ0MeMu6HfXx8MgjPTSNONLl9Qi4/c2FIR64sa7TkCJ78UtYxvS5SOlrcgcVANgiQeeLQEwcAAAACqHuPqRsWhCC8CtUmtvYe9qo3Eu7hr21fmCDs20L8ZZgAB6wKECQAAH3b8qLbp3xwCAAAAAApZWg==",
  filtered: "/Td6WFoAAAFpIt42AgEEACEBCADSuXTL4ASDARddADoaCM52x+Xp1gc0w9EOv85V4aq94OSPmAHdjeUHVJ5lJV8nOmp+tNNJBVEjhN3ufQEDv/XgrZOJCbpFR7xzRXXty9VHW3VFWWX/T2rdGn54THiwA5ixduvmrq4qa4/LrWjDfJWdh5dazGQK1Z6gKK1B0OINYwR7dayhC/KpKv3Vfxc3pb4GmXfRV+O0qjKlB6mA9i27jRJX6lDUQ59SF0Tt7h4fBGmzPjaIRIi8J/16X8MXhZQyq8tAcMABX2KJkrBsODQ0HHhy42lHReb8WfBBPhmz0DQAS6Wm/tWdL8VaYf73nzBwTuEID1dlsC/R8oUkVAotrKaksAIxJXAWrl8x8nI7WmrgxGMscvskC83V1/wXjy+k3gAAFI2KbQABrwKECQAAZT41PD4wDYsCAAAAAAFZWg==",
  stored: "/Td6WFoAAAD/EtlBAgAhAQgAAADYDyMTAQAnAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJwAAATgoKqGsAgZynnoBAAAAAABZWg==",
};
const stream = (name: keyof typeof streams): Buffer => Buffer.from(streams[name], "base64");

describe("xz", () => {
  test("decodes matches, literals, and a CRC-32", () => expect(Buffer.from(decodeXz(stream("crc32"), 4096))).toEqual(text));
  test("decodes other literal and position bits, and a SHA-256", () => expect(Buffer.from(decodeXz(stream("sha256"), 4096))).toEqual(text));
  test("decodes stored chunks, without a check", () => expect(Buffer.from(decodeXz(stream("stored"), 64))).toEqual(text.subarray(900, 940)));
  test("names a filter that it doesn't read", () => expect(() => decodeXz(stream("filtered"), 4096)).toThrow("xz filter x86"));
  test("refuses more than was expected", () => expect(() => decodeXz(stream("crc32"), 1000)).toThrow("more than the 1000 bytes"));

  test("ends with data or a typed error however a bit flips, and never with other data", () => {
    const good = stream("crc32");
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const bytes = Buffer.from(good);
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      try {
        // Behind the check stand an index and a footer, which aren't read.
        expect(Buffer.from(decodeXz(bytes, 4096)).equals(text), `bit ${bit}`).toBe(true);
      } catch (error) {
        expect(error, `bit ${bit}`).toMatchObject({ name: "DiskError" });
      }
    }
  });

  test("says so wherever it is cut off", () => {
    const good = stream("sha256");
    for (let length = 0; length < 300; length += 1) expect(() => decodeXz(good.subarray(0, length), 4096), `${length} bytes`).toThrow(/xz data|lzma/);
  });
});
