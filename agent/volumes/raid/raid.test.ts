import { describe, expect, it } from "vitest";
import { Random } from "../../../test/tools/random.ts";
import type { BlockSource } from "../../blocks/block-source.ts";
import { memorySource } from "../../blocks/memory-source.ts";
import { BadRanges } from "./bad-ranges.ts";
import { inverse, multiply, power } from "./galois.ts";
import { parityArray } from "./parity-array.ts";
import { type ParityLayout, raid4Layout, raid5Layouts, raid6Layouts } from "./parity-layout.ts";
import { isRaid10Complete, raid10, raid10Geometry, raid10Places } from "./raid10.ts";

const chunkBytes = 512;

/** Lays data out by the definition of P and Q, byte by byte. */
function layOut(data: Uint8Array, layout: ParityLayout, members: number): Uint8Array[] {
  const dataCount = members - layout.parityCount;
  const stripes = data.length / (dataCount * chunkBytes);
  const disks = Array.from({ length: members }, () => new Uint8Array(stripes * chunkBytes));
  for (let stripe = 0; stripe < stripes; stripe += 1) {
    const { p, q, data: place } = layout.roles(stripe, members);
    for (let index = 0; index < dataCount; index += 1) {
      const from = (stripe * dataCount + index) * chunkBytes;
      disks[place(index)]!.set(data.subarray(from, from + chunkBytes), stripe * chunkBytes);
    }
    for (let at = stripe * chunkBytes; at < (stripe + 1) * chunkBytes; at += 1) {
      let parity = 0;
      let syndrome = 0;
      let exponent = 0;
      // From the first member on, or from the one after Q.
      for (let step = 0; step < members; step += 1) {
        const slot = layout.ddf ? step : (q + 1 + step) % members;
        if (slot === p || slot === q) {
          if (layout.ddf) exponent += 1;
          continue;
        }
        parity ^= disks[slot]![at]!;
        syndrome ^= multiply(power(exponent), disks[slot]![at]!);
        exponent += 1;
      }
      disks[p]![at] = parity;
      if (q >= 0) disks[q]![at] = syndrome;
    }
  }
  return disks;
}

describe("the field of 256 elements", () => {
  it("has the products and inverses of its definition", () => {
    // 0x80 × 2 overflows into the polynomial 0x11d.
    expect(multiply(0x80, 2)).toBe(0x1d);
    expect(power(0)).toBe(1);
    expect(power(8)).toBe(0x1d);
    expect(power(255)).toBe(1);
    expect(power(-1)).toBe(inverse(2));
    for (let value = 1; value < 256; value += 1) expect(multiply(value, inverse(value))).toBe(1);
  });
});

describe("parity", () => {
  const all: [string, ParityLayout][] = [["raid4", raid4Layout], ...[...raid5Layouts.values()].map((one): [string, ParityLayout] => [`raid5 ${one.name}`, one]), ...[...raid6Layouts.values()].map((one): [string, ParityLayout] => [`raid6 ${one.name}`, one])];

  it.each(all)("%s: every stripe gives each member one role", (_, layout) => {
    for (const members of [3, 4, 5, 7].filter((count) => count > layout.parityCount)) {
      for (let stripe = 0; stripe < 3 * members; stripe += 1) {
        const { p, q, data } = layout.roles(stripe, members);
        const slots = [p, ...(q >= 0 ? [q] : []), ...Array.from({ length: members - layout.parityCount }, (__, index) => data(index))];
        expect(slots.sort((a, b) => a - b)).toEqual(Array.from({ length: members }, (__, slot) => slot));
      }
    }
  });

  it.each(all)("%s: reads the same with any members missing that parity covers", async (_, layout) => {
    const members = 5;
    const data = new Random(3).bytes((members - layout.parityCount) * chunkBytes * 11);
    const disks = layOut(data, layout, members).map((bytes): BlockSource => memorySource(bytes));
    for (let mask = 0; mask < 1 << members; mask += 1) {
      const left = disks.map((disk, slot) => ((mask & (1 << slot)) === 0 ? disk : undefined));
      if (left.filter((disk) => disk === undefined).length > layout.parityCount) continue;
      const array = parityArray({ members: left, layout, chunkBytes, sizeBytes: data.length });
      const target = new Uint8Array(data.length - 700);
      await array.readInto(300, target);
      expect(Buffer.compare(target, data.subarray(300, 300 + target.length)), mask.toString(2)).toBe(0);
    }
  });
});

describe("parity around bad ranges", () => {
  it.each([["raid5", raid5Layouts.get(2)!], ["raid6", raid6Layouts.get(2)!], ["raid6 ddf", raid6Layouts.get(9)!]] as const)("%s: reads what the others complete, and is an error where they don't", async (_, layout) => {
    const members = 5;
    const random = new Random(9);
    const data = random.bytes((members - layout.parityCount) * chunkBytes * 40);
    const memberBytes = chunkBytes * 40;
    const disks = layOut(data, layout, members);
    const isBad = disks.map(() => new Uint8Array(memberBytes));
    const bad = disks.map((bytes, slot) => {
      const ranges = Array.from({ length: 12 }, () => random.integer(0, memberBytes - 600)).map((start) => ({ start, end: start + random.integer(1, 600) }));
      for (const { start, end } of ranges) {
        bytes.fill(0xee, start, end);
        isBad[slot]!.fill(1, start, end);
      }
      return new BadRanges(ranges);
    });
    const array = parityArray({ members: disks.map((bytes): BlockSource => memorySource(bytes)), bad, layout, chunkBytes, sizeBytes: data.length });
    let lost = 0;
    for (let at = 0; at < data.length; at += 1) {
      const stripe = Math.floor(at / (chunkBytes * (members - layout.parityCount)));
      const index = Math.floor(at / chunkBytes) % (members - layout.parityCount);
      const offset = stripe * chunkBytes + (at % chunkBytes);
      const slot = layout.roles(stripe, members).data(index);
      const badCount = isBad.filter((flags) => flags[offset] === 1).length;
      const target = new Uint8Array(1);
      const read = array.readInto(at, target);
      if (isBad[slot]![offset] === 1 && badCount > layout.parityCount) {
        await expect(read).rejects.toMatchObject({ code: "io_error" });
        lost += 1;
      } else {
        await read;
        if (target[0] !== data[at]) expect.fail(`byte ${at}: ${target[0]}, expected ${data[at]}`);
      }
    }
    expect(lost).toBeGreaterThan(0);
  });
});

describe("RAID 10", () => {
  it.each([[0x102, 4], [0x102, 5], [0x103, 5], [0x201, 4], [0x10201, 5], [0x301, 6], [0x20201, 4], [0x40201, 5]])("layout 0x%s over %s members: no two chunks share a place, and copies lie on different members", (layout, members) => {
    const geometry = raid10Geometry(layout, members, chunkBytes, 60 * chunkBytes);
    const taken = new Set<string>();
    for (let chunk = 0; chunk < geometry.sizeBytes / chunkBytes; chunk += 1) {
      const places = raid10Places(geometry, chunk);
      expect(new Set(places.map((place) => place.slot)).size).toBe(places.length);
      for (const { slot, offset } of places) {
        expect(offset + chunkBytes).toBeLessThanOrEqual(60 * chunkBytes);
        expect(taken.has(`${slot} ${offset}`)).toBe(false);
        taken.add(`${slot} ${offset}`);
      }
    }
    for (let slot = 0; slot < members; slot += 1) expect(isRaid10Complete(geometry, (other) => other !== slot)).toBe(true);
    expect(isRaid10Complete(geometry, () => false)).toBe(false);
  });

  it("reads a chunk that has no copy left as an error, the others as they are", async () => {
    const geometry = raid10Geometry(0x102, 4, chunkBytes, 2 * chunkBytes);
    const source = memorySource(new Uint8Array(2 * chunkBytes).fill(7));
    const array = raid10([undefined, undefined, source, source], geometry, geometry.sizeBytes);
    await expect(array.readInto(0, new Uint8Array(1))).rejects.toMatchObject({ code: "unsupported" });
    const target = new Uint8Array(1);
    await array.readInto(chunkBytes, target);
    expect(target[0]).toBe(7);
  });

  it("refuses layouts that it doesn't know", () => {
    expect(() => raid10Geometry(0, 4, chunkBytes, 512)).toThrow("layout 0x0");
    expect(() => raid10Geometry(0x102 | (3 << 17), 4, chunkBytes, 512)).toThrow("layout");
  });
});
