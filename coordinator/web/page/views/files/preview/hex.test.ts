import { describe, expect, it } from "vitest";
import { hexBytes, hexDump } from "./hex.ts";

describe("a hex dump", () => {
  it("reads as that of hexdump -C", () => {
    // printf '0123456789abcdef\x00\xffhi' | hexdump -C
    const bytes = new Uint8Array([...new TextEncoder().encode("0123456789abcdef"), 0, 0xff, 0x68, 0x69]);
    expect(hexDump(bytes).split("\n")).toEqual([
      "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
      "00000010  00 ff 68 69                                       |..hi|",
    ]);
  });

  it("counts from where in the file the bytes are", () => {
    expect(hexDump(new Uint8Array([1]), 0x40000)).toMatch(/^00040000 {2}01 /);
    expect(hexDump(new Uint8Array(0))).toBe("");
  });
});

it("bytes in a row", () => {
  expect(hexBytes(new Uint8Array([1, 0xab, 0xff]))).toBe("01 ab ff");
});
