import { expect, test } from "vitest";
import { rebuildFromBoth, rebuildFromP, rebuildFromQ } from "./parity.ts";

/** Bit by bit: multiplication modulo x^8 + x^4 + x^3 + x^2 + 1. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ (product & 0x80 ? 0x11d : 0);
    if (b & (1 << bit)) product ^= a;
  }
  return product & 0xff;
}

const data = Array.from({ length: 5 }, (_, stripe) => Uint8Array.from({ length: 256 }, (_, index) => (index * (stripe + 3) + stripe * 77) & 0xff));
const p = Uint8Array.from({ length: 256 }, (_, index) => data.reduce((sum, bytes) => sum ^ bytes[index]!, 0));
const q = Uint8Array.from({ length: 256 }, (_, index) => {
  let factor = 1;
  return data.reduce((sum, bytes) => {
    const term = multiply(bytes[index]!, factor);
    factor = multiply(factor, 2);
    return sum ^ term;
  }, 0);
});

test("any one stripe comes back from P or from Q", () => {
  for (const target of data.keys()) {
    const rest = data.map((bytes, index) => (index === target ? undefined : bytes));
    expect(rebuildFromP(rest, p)).toEqual(data[target]);
    expect(rebuildFromQ(rest, q, target)).toEqual(data[target]);
  }
});

test("any two stripes come back from both", () => {
  for (const target of data.keys()) {
    for (const other of data.keys()) {
      if (other === target) continue;
      const rest = data.map((bytes, index) => (index === target || index === other ? undefined : bytes));
      expect(rebuildFromBoth(rest, p, q, target, other)).toEqual(data[target]);
    }
  }
});
