import { describe, expect, it } from "vitest";
import { Random } from "../../test/tools/random.ts";
import type { BlockExtent, BlockSource } from "./block-source.ts";
import { concatenated, type Part } from "./concatenated.ts";
import { DiskError } from "./disk-error.ts";
import { memorySource } from "./memory-source.ts";
import { mirrored } from "./mirrored.ts";

/** Random bytes with runs of zeros, and answers about holes that stop short. */
function makeSource(random: Random, sizeBytes: number): { source: BlockSource; bytes: Uint8Array } {
  const bytes = random.bytes(sizeBytes);
  for (let at = 0; at + 512 <= sizeBytes; at += 512) if (random.integer(0, 3) === 0) bytes.fill(0, at, at + 512);
  const source = memorySource(bytes);
  return {
    bytes,
    source: {
      ...source,
      sizeBytes,
      read: (offset, length) => (random.integer(0, 2) === 0 ? source.read(offset, length) : Promise.resolve(source.read(offset, length))),
      readInto: (offset, target, signal) => source.readInto(offset, target, signal),
      async extents(offset, length) {
        const found: BlockExtent[] = [];
        for (let at = offset; at < offset + length && found.length < 5; ) {
          const end = Math.min(offset + length, (Math.floor(at / 512) + 1) * 512);
          found.push({ offset: at, length: end - at, hole: bytes.subarray(Math.floor(at / 512) * 512, end).every((byte) => byte === 0) });
          at = end;
        }
        return found;
      },
    },
  };
}

describe("a source in pieces", () => {
  it("reads, through every way, what its parts hold one after another", async () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = new Random(seed);
      const sources = Array.from({ length: 3 }, () => makeSource(random, random.integer(1, 9) * 1024));
      const parts: Part[] = [];
      const expected: Uint8Array[] = [];
      for (let count = random.integer(1, 12); count > 0; count -= 1) {
        const { source, bytes } = random.pick(sources);
        const lengthBytes = random.integer(0, bytes.length + 1);
        const offset = random.integer(0, bytes.length - lengthBytes + 1);
        const isZero = random.integer(0, 5) === 0;
        parts.push({ from: isZero ? "zeros" : source, offset, lengthBytes });
        expected.push(isZero ? new Uint8Array(lengthBytes) : bytes.subarray(offset, offset + lengthBytes));
      }
      const whole = Buffer.concat(expected);
      const joined = concatenated(parts);
      expect(joined.sizeBytes).toBe(whole.length);
      for (let round = 0; round < 10; round += 1) {
        const length = random.integer(0, whole.length + 1);
        const offset = random.integer(0, whole.length - length + 1);
        const target = new Uint8Array(length).fill(0xaa);
        await joined.readInto(offset, target);
        expect(Buffer.compare(target, whole.subarray(offset, offset + length)), `seed ${seed}`).toBe(0);
        expect(Buffer.compare(await joined.read(offset, length), whole.subarray(offset, offset + length)), `seed ${seed}`).toBe(0);
        if (length === 0) continue;
        let at = offset;
        for (const extent of await joined.extents(offset, length)) {
          expect(extent.offset, `seed ${seed}`).toBe(at);
          expect(extent.length).toBeGreaterThan(0);
          at += extent.length;
          if (extent.hole) expect(whole.subarray(extent.offset, at).every((byte) => byte === 0), `seed ${seed}`).toBe(true);
        }
        expect(at).toBeGreaterThan(offset);
        expect(at).toBeLessThanOrEqual(offset + length);
      }
    }
  });

  it("fails only where a part is missing, with that part's reason", async () => {
    const gone = new DiskError("unsupported", "member 2 is missing");
    const joined = concatenated([{ from: memorySource(new Uint8Array(100)), offset: 0, lengthBytes: 100 }, { from: gone, offset: 0, lengthBytes: 100 }]);
    expect((await joined.read(0, 100)).length).toBe(100);
    await expect((async () => await joined.read(50, 100))()).rejects.toBe(gone);
    await expect(joined.readInto(150, new Uint8Array(1))).rejects.toBe(gone);
    expect(await joined.extents(150, 10)).toEqual([{ offset: 150, length: 10, hole: false }]);
    await expect((async () => await joined.read(150, 51))()).rejects.toMatchObject({ code: "corrupt" });
  });
});

describe("copies of the same bytes", () => {
  const failing = (code: "io_error" | "corrupt"): BlockSource => {
    const fail = async (): Promise<never> => Promise.reject(new DiskError(code, "the first copy"));
    return { sizeBytes: 4, read: fail, readInto: fail, extents: fail };
  };

  it("gives the second where the storage of the first fails", async () => {
    const both = mirrored([failing("io_error"), memorySource(Uint8Array.of(1, 2, 3, 4))], 4);
    const target = new Uint8Array(2);
    await both.readInto(1, target);
    expect([...target]).toEqual([2, 3]);
    expect([...(await both.read(0, 4))]).toEqual([1, 2, 3, 4]);
  });

  it("tells the first copy's failure when all fail, and tries no other on damage", async () => {
    await expect(mirrored([failing("io_error"), failing("io_error")], 4).readInto(0, new Uint8Array(1))).rejects.toMatchObject({ code: "io_error" });
    await expect(mirrored([failing("corrupt"), memorySource(new Uint8Array(4))], 4).readInto(0, new Uint8Array(1))).rejects.toMatchObject({ code: "corrupt" });
  });
});
