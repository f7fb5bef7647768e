import { describe, expect, test } from "vitest";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { assertExtents, hashSource, scanImages, summarise } from "../volumes/scan-images.ts";
import { plainGroup, raidGroup, raidTypes } from "./images.ts";

// Property: every logical volume has the bytes that the kernel's device-mapper showed of it (MD5 in the guest).

const lacks = guestLacks();

describe.skipIf(lacks !== undefined)(`volume groups made by lvm2${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("linear, striped, spanning, classic and thin snapshots read as in the guest", async () => {
    const { disks, said } = await plainGroup();
    const { volumes, siblingsAsked } = await scanImages([disks.get("a")!, disks.get("b")!]);
    const found = await summarise(volumes);
    for (const name of ["root", "striped", "span", "snap", "snap2", "thin", "thinsnap", "outside", "external"]) {
      expect(found[`vg-${name}`], name).toBe(said.get(name));
    }
    expect(found["p2"]).toMatch(/^unsupported: physical volume of the LVM2 volume group "vg": see /);
    expect(Object.keys(found).filter((name) => !/^vg-(root|striped|span|snap2?|thin|thinsnap|outside|external)$|^p[12]$/.test(name))).toEqual([]);
    expect(siblingsAsked).toBe(1);
    const thin = volumes.find((volume) => volume.name === "vg-thin")!;
    expect(thin.sizeBytes).toBe(200 * 1024 * 1024);
    expect(await assertExtents(thin.source!)).toBeGreaterThan(180 * 1024 * 1024);
    for (const name of ["vg-snap", "vg-span", "vg-striped", "vg-external"]) await assertExtents(volumes.find((volume) => volume.name === name)!.source!);
  });

  test("from the other disk the same volumes show, and those of its own", async () => {
    const { disks, said } = await plainGroup();
    const { volumes } = await scanImages([disks.get("b")!, disks.get("a")!]);
    const found = await summarise(volumes);
    for (const name of ["with-dash", "striped", "span", "thin"]) expect(found[`vg-${name}`], name).toBe(said.get(name));
    expect(found["vg-root"]).toBeUndefined();
    expect(found["disk"]).toMatch(/^unsupported: physical volume of the LVM2 volume group "vg"/);
  });

  test("without the other disk, what needs it says which one, and the rest reads", async () => {
    const { disks, said } = await plainGroup();
    const found = await summarise((await scanImages([disks.get("a")!])).volumes);
    expect(found["vg-root"]).toBe(said.get("root"));
    expect(found["vg-snap"]).toBe(said.get("snap"));
    expect(found["vg-striped"]).toMatch(/^unsupported: .*"vg\/striped" needs the physical volume \w{6}(-\w{4}){5}-\w{6} \(\/dev\/vd\w in the guest\), which is on none of the disks/);
  });

  test("all RAID types read as in the guest", async () => {
    const { disks, said } = await raidGroup();
    const found = await summarise((await scanImages([...disks.values()])).volumes);
    for (const name of [...raidTypes, "raid1", "raid10", "mirror"]) expect(found[`vg-${name}`], name).toBe(said.get(name));
  });

  test.each(["a", "d", "f", "be", "af", "cd"])("without the disks %s, what parity or a copy completes reads as in the guest", async (letters) => {
    const gone = [...letters];
    const { disks, said } = await raidGroup();
    const left = [...disks].filter(([name]) => !gone.includes(name)).map(([, path]) => path);
    const { volumes } = await scanImages(left);
    for (const name of ["raid1", "raid10", "mirror", ...raidTypes]) {
      const volume = volumes.find((one) => one.name === `vg-${name}`);
      if (volume === undefined) continue;
      if (volume.source !== undefined) {
        expect(await hashSource(volume.source), name).toBe(said.get(name));
        // Any of the copies alone may have gone on without the others; what parity completes can't have.
        if (volume.error !== undefined) expect(volume.error.message, name).toMatch(/raid10?": image [\d, ]+, which it counts as working, is on none of the disks/);
        continue;
      }
      // Refused, since too many of its images are gone: never wrong bytes.
      expect(volume.error?.message, name).toMatch(/needs the physical volume/);
      expect(name.startsWith("raid6"), `${name}: ${volume.error?.message}`).toBe(false);
      if (gone.length === 1) expect(name, volume.error?.message).toMatch(/^raid0|^mirror/);
    }
  });
});
