import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import { openImageSource } from "../tools/image-source.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { hashSource, scanImages, summarise } from "../volumes/scan-images.ts";
import { unsettledGroups } from "./unsettled-images.ts";

// Property: whatever LVM was in the middle of, a logical volume has the bytes that the guest saw, or will see once it
// activates the volume again; else it is refused, and the refusal says by name what stands in the way.

const lacks = guestLacks();
const uuid = /\w{6}(-\w{4}){5}-\w{6}/.source;

interface Scan {
  readonly found: Record<string, string>;
  readonly said: ReadonlyMap<string, string>;
}

const scans = new Map<string, Promise<Scan>>();

/** Logical volumes found from the first of these disks, the others being its siblings; and what the guest said. */
function scan(letters: string): Promise<Scan> {
  const known = scans.get(letters) ?? scanOnce(letters);
  scans.set(letters, known);
  return known;
}

async function scanOnce(letters: string): Promise<Scan> {
  const { disks, said } = await unsettledGroups();
  const { volumes } = await scanImages([...letters].map((letter) => disks.get(letter)!));
  return { found: await summarise(volumes.filter((volume) => volume.kind === "logical-volume")), said };
}

describe.skipIf(lacks !== undefined)(`volume groups in the middle of something${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("metadata text that goes over the end of its area goes on behind the header", async () => {
    const { found, said } = await scan("a");
    const [offset, size, area] = said.get("wraps")!.split(" ").map(Number);
    expect(offset! + size!).toBeGreaterThan(area!);
    for (const name of ["wrap-one", "wrap-two"]) expect(found[name], name).toBe(said.get(name));
  });

  test.each(["merge-waits", "merge-half", "merge-thin"])("%s: the origin shows the snapshot that is merged into it, and the snapshot is gone", async (name) => {
    const { found, said } = await scan("a");
    expect(found[name]).toBe(said.get(name));
    expect(Object.keys(found).filter((other) => other.startsWith("merge-")).toSorted()).toEqual(["merge-half", "merge-thin", "merge-waits"]);
  });

  test("what pvmove moves reads as in the guest; without the disk it comes from, it is refused", async () => {
    const { found, said } = await scan("ab");
    expect(found["move-moved"]).toBe(said.get("move-moved"));
    const { found: without } = await scan("bcd");
    expect(without["move-moved"]).toMatch(new RegExp(`^unsupported: .*"move/pvmove0" needs the physical volume ${uuid} \\(/dev/vd\\w3 in the guest\\).*nothing tells how far the other copies were filled`));
  });

  test("a mirror without its first disk reads where its log says that the copies agree, and is refused without a log", async () => {
    const { found, said } = await scan("cd");
    for (const name of ["mirrors-core", "mirrors-logged"]) expect(found[name], name).toBe(said.get(name));
    const { found: first } = await scan("c");
    for (const name of ["mirrors-core", "mirrors-logged"]) expect(first[name], name).toBe(said.get(name));
    const { found: second } = await scan("d");
    expect(second["mirrors-core"]).toMatch(new RegExp(`^unsupported: .*needs the physical volume ${uuid}.*nothing tells how far the other copies were filled`));
    // Its log lies on one of the two disks.
    if (second["mirrors-logged"] !== said.get("mirrors-logged")) expect(second["mirrors-logged"]).toMatch(/nothing tells how far/);
  });

  test("a RAID image that was left behind is not read, though its disk is back", async () => {
    for (const letters of ["abcd", "dcba", "bcd", "bac"]) {
      const { found, said } = await scan(letters);
      for (const name of ["leg-one", "leg-five"]) if (found[name] !== undefined) expect(found[name], `${name} of ${letters}`).toBe(said.get(name));
    }
    // Without a current one, there is no way to know that it is out of date: it may be, and that is said.
    const { disks } = await unsettledGroups();
    const { volumes } = await scanImages(["a", "d"].map((letter) => disks.get(letter)!));
    const one = volumes.find((volume) => volume.name === "leg-one")!;
    expect(one.error?.message).toMatch(/image 1, which it counts as working, is on none of the disks: what was written since they parted is not shown/);
    // Parity would have to be read with the stale image: too few are left.
    const { found } = await scan("abd");
    expect(found["leg-five"]).toMatch(new RegExp(`^unsupported: .*needs the physical volume ${uuid}`));
  });

  test("a physical volume that the group gave up as missing is not used when it is back", async () => {
    const { found, said } = await scan("adbc");
    expect(found["lost-gone"]).toMatch(new RegExp(`^unsupported: .*"lost/gone" needs the physical volume ${uuid} \\(.*\\), which the group itself counts as missing`));
    const { found: other } = await scan("da");
    expect(other["lost-there"]).toBe(said.get("lost-there"));
  });

  test("RAID that was not yet synchronised reads as in the guest, and is refused where its parity or a second copy would count", async () => {
    const { found, said } = await scan("abcd");
    for (const name of ["shape-five", "shape-one"]) expect(found[name], name).toBe(said.get(name));
    for (const [letters, missing] of [["bcd", 0], ["acd", 1], ["abd", 2]] as const) {
      const { found: without } = await scan(letters);
      expect(without["shape-five"], letters).toMatch(new RegExp(`^unsupported: .*its images were still being synchronised, and image ${missing} is missing`));
    }
    const { found: second } = await scan("bcd");
    expect(second["shape-one"]).toMatch(/^unsupported: .*its images were still being synchronised, and image 0 is missing/);
    // The first image is the one that the others are made of.
    const { disks } = await unsettledGroups();
    const { volumes } = await scanImages(["a", "c"].map((letter) => disks.get(letter)!));
    expect(await hashSource(volumes.find((volume) => volume.name === "shape-one")!.source!)).toBe(said.get("shape-one"));
  });

  test("a reshape, integrity, a cache and a writecache are refused by name, and leave the group's others alone", async () => {
    const { found, said } = await scan("abcd");
    expect(found["shape-reshaped"]).toMatch(/^unsupported: .*"shape\/reshaped": it was being reshaped/);
    expect(found["fast-checked"]).toMatch(/^unsupported: .*"fast\/checked_rimage_0": segment type "integrity" can't be read/);
    expect(found["fast-cached"]).toMatch(/^unsupported: .*"fast\/cached": segment type cache/);
    expect(found["fast-late"]).toMatch(/^unsupported: .*"fast\/late": segment type "?writecache/);
    expect(found["fast-plain"]).toBe(said.get("fast-plain"));
  });

  test("a physical volume without a group doesn't have the other disks opened; one whose group needs them does", async () => {
    const { disks } = await unsettledGroups();
    const disk = cached(openImageSource(disks.get("d")!));
    const orphan = (await scanVolumes(disk)).find((volume) => volume.name === "p7")!;
    expect(orphan.error?.message).toBe("LVM2 physical volume without a volume group");
    let asked = 0;
    const siblings = async () => {
      asked += 1;
      return [];
    };
    await scanVolumes(orphan.source!, { siblings });
    expect(asked).toBe(0);
    const member = (await scanVolumes(disk)).find((volume) => volume.name === "p3")!;
    await scanVolumes(member.source!, { siblings });
    expect(asked).toBe(1);
  });
});
