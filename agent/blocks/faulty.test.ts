import { expect, test } from "vitest";
import { counting } from "./counting.ts";
import { faulty } from "./faulty.ts";
import { memorySource } from "./memory-source.ts";

const disk = memorySource(new Uint8Array(1000));
const ioError = expect.objectContaining({ code: "io_error" });

test("fails exactly the reads that touch a bad range", async () => {
  const source = faulty(disk, { ranges: [{ offset: 100, length: 10 }] });
  await source.read(0, 100);
  await source.read(110, 10);
  await expect(source.read(99, 2)).rejects.toEqual(ioError);
  await expect(source.read(0, 1000)).rejects.toEqual(ioError);
  await expect(source.readInto(109, new Uint8Array(1))).rejects.toEqual(ioError);
});

test("fails the nth read and lets it succeed the next time", async () => {
  const source = faulty(disk, { reads: [2] });
  await source.readInto(0, new Uint8Array(1));
  await expect(source.read(0, 1)).rejects.toEqual(ioError);
  await source.read(0, 1);
});

test("fails by any rule", async () => {
  const source = faulty(disk, { when: ({ length }) => length > 5 });
  await source.read(0, 5);
  await expect(source.read(0, 6)).rejects.toEqual(ioError);
});

test("a counting source counts reads and bytes of both kinds, failed ones too", async () => {
  const source = counting(faulty(disk, { reads: [3] }));
  await source.read(0, 10);
  await source.readInto(0, new Uint8Array(20));
  await expect(source.read(0, 30)).rejects.toEqual(ioError);
  await source.extents(0, 10);
  expect(source).toMatchObject({ reads: 3, bytesRead: 60, extentCalls: 1 });
  source.reset();
  expect(source).toMatchObject({ reads: 0, bytesRead: 0, extentCalls: 0 });
});
