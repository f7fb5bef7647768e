import { expect, test } from "vitest";
import { decodeLz4 } from "./lz4.ts";

function decode(bytes: number[], size = 64): string {
  const output = new Uint8Array(size);
  return Buffer.from(output.subarray(0, decodeLz4(Uint8Array.from(bytes), output))).toString("latin1");
}

const ascii = (text: string): number[] => [...Buffer.from(text)];

// Blocks written by hand from the format's description.
test.each([
  ["literals alone", [0x50, ...ascii("hello")], "hello"],
  ["a match", [0x31, ...ascii("abc"), 3, 0, 0x20, ...ascii("ZZ")], "abcabcabZZ"],
  ["a match that reaches into itself", [0x14, ...ascii("x"), 1, 0, 0x10, ...ascii("y")], `${"x".repeat(9)}y`],
  ["a long match", [0x1f, ...ascii("x"), 1, 0, 10, 0x10, ...ascii("y")], `${"x".repeat(30)}y`],
  ["many literals", [0xf0, 5, ...ascii("a".repeat(20))], "a".repeat(20)],
])("decodes %s", (_, bytes, text) => expect(decode(bytes)).toBe(text));

test.each([
  ["more literals than are left", [0x50, ...ascii("hel")], "5 literals"],
  ["a match before the start", [0x10, ...ascii("x"), 2, 0, 0x10, ...ascii("y")], "2 back at 1"],
  ["a match at no distance", [0x10, ...ascii("x"), 0, 0, 0x10, ...ascii("y")], "0 back"],
  ["more than the output holds", [0x1f, ...ascii("x"), 1, 0, 255, 0, 0x10, ...ascii("y")], "a match of 274"],
  ["an end in the middle of a match", [0x10, ...ascii("x"), 1], "in the middle"],
  ["an end in the middle of a length", [0xf0, 255, 255], "in the middle"],
  ["nothing", [], "doesn't end with literals"],
])("refuses %s", (_, bytes, message) => expect(() => decode(bytes)).toThrow(message));
