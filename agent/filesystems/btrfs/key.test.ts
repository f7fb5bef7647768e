import { expect, test } from "vitest";
import { compareKeyAt, compareKeys, keyBefore, makeKey, maxOffset, objectidOf, offsetOf, readKey, showKey, writeKey } from "./key.ts";

const sorted = [
  makeKey(0, 0, 0), makeKey(1, 1, 2 ** 33), makeKey(256, 1, 0), makeKey(256, 96, 2), makeKey(256, 96, maxOffset), makeKey(256, 108, 0),
  makeKey(2 ** 32 + 5, 1, 0), makeKey(2 ** 40, 1, 0), makeKey(-10n, 128, 5), makeKey(-6n, 132, 5),
];

test("keys sort by object, type and offset, unsigned", () => {
  const bytes = Buffer.alloc(20);
  for (const [i, a] of sorted.entries()) {
    writeKey(bytes, 3, a);
    expect(readKey(bytes, 3)).toEqual(a);
    for (const [j, b] of sorted.entries()) {
      expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(i - j));
      expect(Math.sign(compareKeyAt(bytes, 3, b))).toBe(Math.sign(i - j));
    }
  }
});

test("numbers come back as they went in", () => {
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    expect(objectidOf(makeKey(value, 1, 0))).toBe(value);
    expect(offsetOf(makeKey(0, 1, value))).toBe(value);
  }
  expect(showKey(makeKey(-10n, 128, maxOffset))).toBe("(-10 128 18446744073709551615)");
});

test("the key before borrows from the next part", () => {
  expect(keyBefore(makeKey(5, 1, 2 ** 32))).toEqual(makeKey(5, 1, 2 ** 32 - 1));
  expect(keyBefore(makeKey(5, 1, 0))).toEqual(makeKey(5, 0, maxOffset));
  expect(keyBefore(makeKey(5, 0, 0))).toEqual(makeKey(4, 255, maxOffset));
  expect(keyBefore(makeKey(0, 0, 0))).toBeUndefined();
});
