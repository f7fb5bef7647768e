import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDisk, type OpenDisk } from "../../agent/reader/disk.ts";
import { makeDisk } from "../btrfs/disks.ts";
import { plainGroup } from "../lvm/images.ts";
import { openImageSource } from "../tools/image-source.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { cryptsetup, hasCryptsetup, makeLuks1, passphrase } from "./images.ts";

// Property: a volume group whose physical volumes are encrypted on each of two disks of a backup reads as its guest saw
// it (MD5 in the guest), once the keys of both were given; before that it is said what is still locked.

const lacks = guestLacks() ?? ((await hasCryptsetup()) ? undefined : "passed over: no cryptsetup");
const otherPassphrase = "battery staple";
const mebibyte = 1024 * 1024;
const onBoth = ["striped", "span", "thin"];

describe.skipIf(lacks !== undefined)(`a volume group in encrypted volumes of two disks${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  let folder: string;
  let said: ReadonlyMap<string, string>;
  /** A partition with LUKS, and the other disk as one LUKS, with the same passphrase and with another. */
  const disks = { first: "", same: "", other: "" };

  beforeAll(async () => {
    folder = await mkdtemp("/dev/shm/pluck-luks-two-");
    const images = await plainGroup();
    ({ said } = images);
    const plain = join(folder, "plain");
    const [a, b] = [images.disks.get("a")!, images.disks.get("b")!];
    const { stdout } = await execa("sfdisk", ["--json", a]);
    const { start, size } = (JSON.parse(stdout) as { partitiontable: { partitions: { start: number; size: number }[] } }).partitiontable.partitions[1]!;
    await execa("dd", [`if=${a}`, `of=${plain}`, "bs=1M", "iflag=skip_bytes,count_bytes", `skip=${start * 512}`, `count=${size * 512}`, "status=none"]);
    const encrypted = join(folder, "encrypted");
    await makeLuks1(folder, plain, encrypted);
    disks.first = join(folder, "first");
    const [p1] = await makeDisk(disks.first, [Math.ceil(size / 2048) + 5]);
    await execa("dd", [`if=${encrypted}`, `of=${disks.first}`, "bs=1M", `seek=${p1!.offset / mebibyte}`, "conv=notrunc,sparse", "status=none"]);
    for (const [name, secret] of [["same", passphrase], ["other", otherPassphrase]] as const) {
      disks[name] = join(folder, name);
      await makeLuks1(folder, b, disks[name], { secret });
    }
    await rm(plain);
    await rm(encrypted);
  }, guestTestTimeoutMs);
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  async function withDisk(paths: readonly string[], use: (disk: OpenDisk, asked: () => number) => Promise<void>): Promise<void> {
    const sources = paths.map((path) => openImageSource(path));
    let asked = 0;
    const siblings = async () => {
      asked += 1;
      return sources.slice(1).map((source, index) => ({ name: `vm/disk-${index + 1}/x.qcow2`, diskId: `${index + 1}`, source }));
    };
    const disk = await openDisk(sources[0]!, { diskId: "0", siblings });
    try {
      await use(disk, () => asked);
    } finally {
      await disk.close();
      for (const source of sources) await source.close();
    }
  }

  const errorOf = (disk: OpenDisk, name: string): string => disk.volumes.find((volume) => volume.name === name)?.error?.detail ?? "";

  async function md5(disk: OpenDisk, name: string): Promise<string> {
    const path = { segments: [name], withinDepth: 0, raw: true };
    const hash = createHash("md5");
    for await (const chunk of disk.readChunks({ ...path, offset: 0, length: (await disk.resolve(path)).size }, new AbortController().signal)) hash.update(chunk);
    return hash.digest("hex");
  }

  async function expectAll(disk: OpenDisk): Promise<void> {
    for (const name of ["root", "snap", ...onBoth]) expect(await md5(disk, `vg-${name}`), name).toBe(said.get(name));
  }

  test("one passphrase for both opens it all at once", async () => {
    await withDisk([disks.first, disks.same], async (disk, asked) => {
      expect(disk.volumes.map(({ name, error }) => [name, error?.code])).toEqual([["p1", "volume_locked"]]);
      expect(asked()).toBe(0);
      await disk.unlock({ volume: "p1", secret: Buffer.from(passphrase) });
      expect(asked()).toBe(1);
      await expectAll(disk);
      // Open already: nothing is left to do.
      const name = `luks-${(await cryptsetup("luksUUID", disks.same)).trim()}`;
      await disk.unlock({ volume: name, secret: Buffer.from("anything") });
    });
  });

  test("from the other disk as well", async () => {
    await withDisk([disks.same, disks.first], async (disk) => {
      await disk.unlock({ volume: "disk", secret: Buffer.from(passphrase) });
      for (const name of onBoth) expect(await md5(disk, `vg-${name}`), name).toBe(said.get(name));
    });
  });

  test("with a passphrase of its own the other is named, and opens by that name", async () => {
    await withDisk([disks.first, disks.other], async (disk) => {
      const name = `luks-${(await cryptsetup("luksUUID", disks.other)).trim()}`;
      const unlock = async (volume: string, secret: string) => await disk.unlock({ volume, secret: Buffer.from(secret) });
      await expect(unlock(name, otherPassphrase)).rejects.toMatchObject({ code: "path_not_found" });
      await unlock("p1", passphrase);
      expect(await md5(disk, "vg-root")).toBe(said.get("root"));
      for (const lv of onBoth) {
        expect(errorOf(disk, `vg-${lv}`)).toMatch(/needs the physical volume .*, which is on none of the disks looked at; it may be inside an encrypted volume that is still locked, to be unlocked by its name: /);
        expect(errorOf(disk, `vg-${lv}`)).toContain(`name: ${name} (disk on vm/disk-1/x.qcow2)`);
      }
      const listed = disk.volumes.find((volume) => volume.name === name);
      expect(listed).toMatchObject({ kind: "disk", filesystem_type: "crypto_LUKS", uuid: name.slice("luks-".length), readable: false, error: { code: "volume_locked" } });
      expect(listed?.error?.detail).toContain("It lies on another disk of the backup, vm/disk-1/x.qcow2,");
      await expect(unlock(name, "wrong")).rejects.toMatchObject({ code: "wrong_key" });
      expect(errorOf(disk, "vg-striped")).not.toBe("");
      await unlock(name, otherPassphrase);
      expect(disk.volumes.map((volume) => volume.name)).not.toContain(name);
      await expectAll(disk);
      await expect(unlock("luks-00000000-0000-0000-0000-000000000000", "x")).rejects.toMatchObject({ code: "path_not_found" });
    });
  });
});
