import { describe, expect, it } from "vitest";
import { Random } from "../../../test/tools/random.ts";
import { memorySource } from "../../blocks/memory-source.ts";
import { BadRanges, badSlotsAt, mirroredWithoutBad, withoutBad } from "./bad-ranges.ts";
import { raid10, raid10Geometry, raid10Places } from "./raid10.ts";

describe("bad ranges", () => {
  it("joins what overlaps, and says up to where an answer holds", () => {
    const bad = new BadRanges([{ start: 30, end: 40 }, { start: 10, end: 20 }, { start: 15, end: 25 }, { start: 5, end: 5 }]);
    expect(bad.at(0)).toEqual({ isBad: false, until: 10 });
    expect(bad.at(10)).toEqual({ isBad: true, until: 25 });
    expect(bad.at(24)).toEqual({ isBad: true, until: 25 });
    expect(bad.at(25)).toEqual({ isBad: false, until: 30 });
    expect(bad.at(40)).toEqual({ isBad: false, until: Infinity });
    expect(new BadRanges([]).at(7)).toEqual({ isBad: false, until: Infinity });
    expect(badSlotsAt([bad, undefined, new BadRanges([{ start: 0, end: 12 }])], 11)).toEqual({ slots: [0, 2], until: 12 });
  });

  it("one member: an error where it is bad, its bytes elsewhere", async () => {
    const source = withoutBad(memorySource(new Uint8Array(100).fill(7)), new BadRanges([{ start: 10, end: 20 }]));
    await expect(source.readInto(0, new Uint8Array(11))).rejects.toMatchObject({ code: "io_error" });
    expect(await source.read(20, 80)).toEqual(new Uint8Array(80).fill(7));
  });

  it("copies: one read takes each byte from a copy that has it", async () => {
    const data = new Random(5).bytes(1000);
    const damaged = (ranges: { start: number; end: number }[]) => {
      const bytes = Uint8Array.from(data);
      for (const { start, end } of ranges) bytes.fill(0xee, start, end);
      return { source: memorySource(bytes), bad: new BadRanges(ranges) };
    };
    const copies = [damaged([{ start: 0, end: 300 }]), damaged([{ start: 250, end: 600 }]), damaged([{ start: 100, end: 280 }, { start: 900, end: 1000 }])];
    const whole = mirroredWithoutBad(copies.map((copy) => copy.source), copies.map((copy) => copy.bad), 1000);
    const target = new Uint8Array(250);
    await whole.readInto(0, target);
    expect(Buffer.compare(target, data.subarray(0, 250))).toBe(0);
    const rest = new Uint8Array(720);
    await whole.readInto(280, rest);
    expect(Buffer.compare(rest, data.subarray(280))).toBe(0);
    // From 250 to 280 all three are bad.
    await expect(whole.readInto(200, new Uint8Array(60))).rejects.toMatchObject({ code: "io_error" });
  });

  it("RAID 10: the other place of a chunk is read where the first is bad", async () => {
    const chunkBytes = 512;
    const geometry = raid10Geometry(0x201, 4, chunkBytes, 8 * chunkBytes);
    const data = new Random(6).bytes(geometry.sizeBytes);
    const disks = Array.from({ length: 4 }, () => new Uint8Array(8 * chunkBytes));
    for (let chunk = 0; chunk * chunkBytes < data.length; chunk += 1) {
      for (const { slot, offset } of raid10Places(geometry, chunk)) disks[slot]!.set(data.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes), offset);
    }
    disks[1]!.fill(0xee, 100, 700);
    const bad = [undefined, new BadRanges([{ start: 100, end: 700 }]), undefined, undefined];
    const target = new Uint8Array(data.length);
    await raid10(disks.map((disk) => memorySource(disk)), geometry, geometry.sizeBytes, bad).readInto(0, target);
    expect(Buffer.compare(target, data)).toBe(0);
  });
});
