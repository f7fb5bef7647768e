import { describe, expect, test } from "vitest";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { cached } from "../../agent/blocks/cached.ts";
import { arrayName, type MdMember, type OpenArray, openArray } from "../../agent/volumes/mdraid/array.ts";
import { readMdSuperblock } from "../../agent/volumes/mdraid/superblock.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import { openImageSource } from "../tools/image-source.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { hashSource, scanImages, summarise } from "../volumes/scan-images.ts";
import { arrays, diskNames, oddArrays, testArrays } from "./images.ts";

// Property: every array has the bytes that the kernel's md showed of it (MD5 in the guest), whatever members are gone
// as long as the others complete it; else it is refused.

/** Parts that cross many stripes: all combinations of members in full would take minutes. */
async function expectSameParts(source: BlockSource, complete: BlockSource, what: string): Promise<void> {
  expect(source.sizeBytes, what).toBe(complete.sizeBytes);
  const length = 333_333;
  for (const offset of [0, Math.floor(source.sizeBytes / 2) - 4321, source.sizeBytes - length]) {
    const [bytes, expected] = [new Uint8Array(length), new Uint8Array(length)];
    await Promise.all([source.readInto(offset, bytes), complete.readInto(offset, expected)]);
    expect(Buffer.compare(bytes, expected), `${what}, ${length} bytes from ${offset}`).toBe(0);
  }
}

const lacks = guestLacks();

describe.skipIf(lacks !== undefined)(`arrays made by mdadm${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("all levels and layouts read as in the guest", async () => {
    const { disks, said } = await arrays();
    const { volumes, siblingsAsked } = await scanImages([...disks.values()]);
    const found = await summarise(volumes);
    for (const array of testArrays) expect(found[`md-${array.name}`], array.name).toBe(said.get(array.name));
    expect(siblingsAsked).toBe(1);
    expect(found["p1"]).toBe("unsupported: member of the md array md-linear: see md-linear");
    expect(volumes.find((volume) => volume.name === "md-linear")?.kind).toBe("array");
  });

  test("with members missing, an array reads as in the guest, or says which are missing", async () => {
    const { disks, said } = await arrays();
    const members = new Map<string, MdMember[]>();
    for (const name of diskNames) {
      for (const { source } of await scanVolumes(cached(openImageSource(disks.get(name)!)))) {
        const superblock = source === undefined ? undefined : await readMdSuperblock(source);
        if (source === undefined || superblock === undefined || source.sizeBytes > 8 * 1024 * 1024) continue;
        const key = arrayName(superblock);
        members.set(key, [...(members.get(key) ?? []), { source, superblock }]);
      }
    }
    for (const array of testArrays) {
      const all = members.get(`md-${array.name}`)!;
      expect(all, array.name).toHaveLength(array.members);
      const { source: complete } = await openArray(all);
      expect(await hashSource(complete), array.name).toBe(said.get(array.name));
      let read = 0;
      for (let mask = 0; mask < 1 << all.length; mask += 1) {
        const left = all.filter((_, slot) => (mask & (1 << slot)) === 0);
        const gone = all.length - left.length;
        if (left.length === 0 || gone === 0 || gone > array.spare + 1) continue;
        const opened = await openArray(left).catch((error: unknown) => error);
        if (opened instanceof Error) {
          expect(opened.message, array.name).toMatch(/needs more than .* missing: member \d/);
          // Copies of RAID 10 may be missing in pairs that hold different chunks, or the same ones.
          if (gone <= array.spare) throw opened;
          continue;
        }
        expect(gone <= array.spare || array.name.startsWith("ten-"), `${array.name} without ${mask.toString(2)}`).toBe(true);
        await expectSameParts((opened as OpenArray).source, complete, `${array.name} without ${mask.toString(2)}`);
        read += 1;
      }
      if (array.spare > 0) expect(read, array.name).toBeGreaterThan(0);
    }
  });

  test("superblock 0.90, several zones, members that left, odd names, and LVM on a degraded array", async () => {
    const { disks, said } = await oddArrays();
    const found = await summarise((await scanImages([...disks.values()])).volumes);
    for (const name of ["md90", "md91", "vgmd-one", "vgmd-two"]) expect(found[name], name).toBe(said.get(name));
    expect(found["md-stale"]).toBe(said.get("stale"));
    expect(found["md-n_me"]).toBe(said.get("odd"));
    expect(found["md-stack"]).toBe('unsupported: physical volume of the LVM2 volume group "vgmd": see vgmd-one, vgmd-two');
    const zones = await summarise((await scanImages(["g", "d", "e"].map((name) => disks.get(name)!))).volumes);
    expect(zones["md-zones"]).toBe(said.get("zones"));
  });

  test("a mirror of whole disks shows the partitions inside it, not those that its members seem to have", async () => {
    const { disks, said } = await oddArrays();
    const found = await summarise((await scanImages([disks.get("i")!, disks.get("j")!])).volumes);
    expect(found).toEqual({
      disk: "unsupported: member of the md array md-whole: see md-wholep1, md-wholep2",
      "md-wholep1": said.get("whole-p1"),
      "md-wholep2": said.get("whole-p2"),
    });
  });

  test("a lone member that doesn't know what it missed is shown with that reservation", async () => {
    const { disks } = await oddArrays();
    const { volumes } = await scanImages([disks.get("a")!]);
    const stale = volumes.find((volume) => volume.name === "md-stale")!;
    expect(stale.source).toBeDefined();
    expect(stale.error?.message).toMatch(/member 1, which it counts as working, is on none of the disks/);
    const raid5 = volumes.find((volume) => volume.name === "md90")!;
    expect(raid5.source).toBeUndefined();
    expect(raid5.error?.message).toMatch(/needs more than 1 of its 4 members; missing: member 1, member 2, member 3/);
  });
});
