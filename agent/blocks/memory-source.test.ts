import { expect, test } from "vitest";
import { memorySource } from "./memory-source.ts";

test("reads are exact views, or corrupt past the end", async () => {
  const source = memorySource(Uint8Array.of(1, 2, 3));
  expect(source.read(1, 2)).toEqual(Uint8Array.of(2, 3));
  expect(() => source.read(2, 2)).toThrow(expect.objectContaining({ code: "corrupt" }));
  const target = new Uint8Array(2);
  await source.readInto(0, target);
  expect(target).toEqual(Uint8Array.of(1, 2));
  expect(await source.extents(0, 3)).toEqual([{ offset: 0, length: 3, hole: false }]);
});
