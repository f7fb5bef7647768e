import { expect, test } from "vitest";
import { crc16Update } from "./crc16.ts";
import { crc32BeUpdate } from "./jbd2/crc32-be.ts";

// The check values of the published catalogue: the CRC of the digits 1 to 9.
const digits = Buffer.from("123456789");

test("CRC-16/ARC", () => {
  expect(crc16Update(0, digits)).toBe(0xbb3d);
});

test("CRC-16/MODBUS, which starts from ones as group descriptors do", () => {
  expect(crc16Update(0xffff, digits)).toBe(0x4b37);
});

test("CRC-32/MPEG-2, the kernel's crc32_be from ones", () => {
  expect(crc32BeUpdate(0xffffffff, digits)).toBe(0x0376e6e7);
});
