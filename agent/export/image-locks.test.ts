import { expect, test } from "vitest";
import { excludesReaders, parseLocks } from "./image-locks.ts";

// Tables as a Linux 6.18 kernel showed them for QEMU 7.2 (qemu-nbd and qemu-io on a qcow2 file).
const writer = `1: OFDLCK ADVISORY  READ -1 00:1b:161854 203 203
2: OFDLCK ADVISORY  READ -1 00:1b:161854 201 201
3: OFDLCK ADVISORY  READ -1 00:1b:161854 103 103
4: OFDLCK ADVISORY  READ -1 00:1b:161854 100 101
`;
const reader = `5: OFDLCK ADVISORY  READ -1 fe:00:2156017 203 203
6: OFDLCK ADVISORY  READ -1 fe:00:2156017 201 201
7: OFDLCK ADVISORY  READ -1 fe:00:2156017 100 100
`;
const files = (text: string) => [...new Set(parseLocks(text).filter(excludesReaders).map(({ file }) => file))];

test("tells QEMU's writers from its readers", () => {
  expect(parseLocks(writer + reader)).toHaveLength(7);
  expect(files(writer + reader)).toEqual(["00:1b:161854"]);
});

test("an exclusive lock on the whole file shuts readers out, a shared one does not", () => {
  const line = (type: string) => `8: POSIX  ADVISORY  ${type} 15084 fe:00:2154548 0 EOF\n`;
  expect(files(line("WRITE"))).toEqual(["fe:00:2154548"]);
  expect(files(line("READ "))).toEqual([]);
  expect(files("8: POSIX  ADVISORY  WRITE 15084 fe:00:2154548 0 99\n")).toEqual([]);
});

test("who forbids others to read has a reason", () => {
  expect(files("1: OFDLCK ADVISORY  READ -1 fe:00:77 200 201\n")).toEqual(["fe:00:77"]);
});

test("locks that are waited for, flock and leases are none", () => {
  const text = `1: POSIX  ADVISORY  READ  7 fe:00:1 0 EOF
1: -> POSIX  ADVISORY  WRITE 8 fe:00:1 0 EOF
2: FLOCK  ADVISORY  WRITE 9 fe:00:2 0 EOF
3: LEASE  ACTIVE    READ 10 fe:00:3 0 EOF
`;
  expect(files(text)).toEqual([]);
});
