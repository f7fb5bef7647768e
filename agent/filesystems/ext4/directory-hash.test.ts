import { expect, test } from "vitest";
import { hashName } from "./directory-hash.ts";

// What `debugfs -R "dx_hash -h VERSION [-s SEED] NAME"` of e2fsprogs 1.47.0 prints.
const noSeed = [0, 0, 0, 0];
const seed = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c];
const long = "a-name-that-is-longer-than-one-block-of-the-hash-takes-in-at-once";
const longUtf8 = "größe-größe-größe-größe-größe-größe";
const legacy = 0;
const halfMd4 = 1;
const tea = 2;
const unsigned = 3;

test.each([
  [legacy, noSeed, "a", 0xe74b53e2, 0],
  [legacy, seed, "hello", 0x32252546, 0],
  [legacy, noSeed, "größe", 0x9d040690, 0],
  [legacy, noSeed, long, 0xa54af1ba, 0],
  [halfMd4, noSeed, "a", 0xd5fa7d7a, 0xacb48187],
  [halfMd4, seed, "a", 0x0a2fa3a0, 0x6b8ed956],
  [halfMd4, seed, "hello", 0xaf3d0524, 0x4eeb19be],
  [halfMd4, noSeed, "file name 12", 0x90efea2c, 0xdcd68ede],
  [halfMd4, seed, "größe", 0x62e9770a, 0x6c58c8b1],
  [halfMd4, noSeed, long, 0x0b9cb21c, 0xc373783d],
  [halfMd4, seed, long, 0x92904040, 0xc8b50e84],
  [tea, noSeed, "a", 0x6d0ea4c0, 0xc18922df],
  [tea, seed, "hello", 0xf73b8f7c, 0xfdb2fa7f],
  [tea, seed, "größe", 0xa9f951f0, 0x8ef7a9c8],
  [tea, noSeed, long, 0x7b4bb978, 0x2f17177b],
  [tea, seed, long, 0x94548750, 0xac7d0b32],
  [unsigned + legacy, noSeed, "größe", 0x098d2490, 0],
  [unsigned + legacy, noSeed, longUtf8, 0x891622ac, 0],
  [unsigned + halfMd4, noSeed, "größe", 0x10eaf0cc, 0x72c4e7b6],
  [unsigned + halfMd4, noSeed, longUtf8, 0x99b8cfbc, 0x887c1109],
  [unsigned + tea, noSeed, "größe", 0x2e177714, 0x078d746a],
  [unsigned + tea, noSeed, longUtf8, 0x7612580c, 0x833b0f18],
])("hashes by version %i with seed %j as e2fsprogs does: %s", (version, words, name, major, minor) => {
  expect(hashName(Buffer.from(name), version, words)).toEqual({ major, minor });
});

test("knows no other version", () => {
  expect(hashName(Buffer.from("a"), 6, noSeed)).toBeUndefined();
});
