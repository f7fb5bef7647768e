import { mkdirSync, writeFileSync } from "node:fs";
import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDisk } from "../../agent/reader/disk.ts";
import { cryptsetup, hasCryptsetup, makeLuks1, passphrase } from "../luks/images.ts";
import { describeAsRoot, hasTool, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { Random } from "../tools/random.ts";
import { makeDisk } from "./disks.ts";
import { formatBtrfs, withBtrfsMount, withLoops } from "./mount.ts";

// Property: the devices of a filesystem may be of any kind: a partition, a logical volume, what an encrypted volume
// of another disk holds.

const lacks = !hasTool("lvm") || !(await hasCryptsetup());
const mebibyte = 1024 * 1024;
const lvm = (device: string, command: string, ...args: string[]) => {
  const config = 'devices { use_devicesfile=0 obtain_device_list_from_udev=0 external_device_info_source="none" } backup { backup=0 archive=0 }';
  // It writes metadata only: no device-mapper is needed.
  return execa("lvm", [command, "--devices", device, "--driverloaded", "n", "--config", config, ...args], { env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`, LVM_SUPPRESS_FD_WARNINGS: "1" } });
};

describeAsRoot("btrfs over devices of several kinds", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.btrfs", "btrfs", "losetup", "sfdisk");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test.skipIf(lacks)("a partition and a logical volume of one disk, and an encrypted volume of another (passed over: no lvm2 or cryptsetup)", async () => {
    const disk0 = join(folder, "disk0");
    const [p1, p2] = await makeDisk(disk0, [130, 140]);
    await withLoops([p2!], async ([device]) => {
      await lvm(device!, "pvcreate", "-q", device!);
      await lvm(device!, "vgcreate", "-q", "-s", "1M", "vg", device!);
      await lvm(device!, "lvcreate", "-q", "-an", "-Zn", "-Wn", "-l", "130", "-n", "data", "vg");
    });
    // A linear volume begins where the first extent does.
    const volume = { path: disk0, offset: p2!.offset + mebibyte, sizelimit: 130 * mebibyte };
    const plain = join(folder, "plain");
    await writeFile(plain, "");
    await truncate(plain, 130 * mebibyte);
    const places = [p1!, plain, volume];
    await formatBtrfs(places, ["-d", "raid0", "-m", "raid1"]);
    const bytes = new Random(71).bytes(4_000_000);
    await withBtrfsMount(places, { readOnly: false }, async (directory) => {
      mkdirSync(join(directory, "folder"));
      writeFileSync(join(directory, "folder", "file"), bytes);
    });
    const disk1 = join(folder, "disk1");
    await makeLuks1(folder, plain, disk1, { secret: "of disk 1" });

    const sibling = { name: "disk 1", diskId: "1", source: openImageSource(disk1) };
    const own = openImageSource(disk0);
    const disk = await openDisk(own, { diskId: "0", siblings: async () => [sibling] });
    try {
      const luks = `luks-${(await cryptsetup("luksUUID", disk1)).trim()}`;
      const [first] = disk.volumes;
      expect(disk.volumes.map(({ name, error }) => [name, error?.code])).toEqual([["p1", "unsupported"], ["p2", "unsupported"], ["vg-data", "unsupported"], [luks, "volume_locked"]]);
      expect(first).toMatchObject({ name: "p1", readable: false, filesystem_type: "btrfs" });
      expect(first?.error?.detail).toMatch(/device 2 \([0-9a-f-]{36}\) is on none of the disks/);
      expect(first?.error?.detail).toContain(`to be unlocked by its name: ${luks} (disk on disk 1)`);
      await expect(disk.unlock({ volume: luks, secret: Buffer.from(passphrase) })).rejects.toMatchObject({ code: "wrong_key" });
      await disk.unlock({ volume: luks, secret: Buffer.from("of disk 1") });
      const uuid = disk.volumes[0]?.uuid;
      expect(disk.volumes.map(({ name, readable, error }) => [name, readable, error?.detail])).toEqual([
        ["p1", true, undefined],
        ["p2", false, 'physical volume of the LVM2 volume group "vg": see vg-data'],
        ["vg-data", false, `device 3 of the btrfs filesystem ${uuid} at /p1`],
      ]);
      const file = { segments: ["p1", "folder", "file"], withinDepth: 0 };
      const chunks: Uint8Array[] = [];
      for await (const chunk of disk.readChunks({ ...file, offset: 0, length: bytes.length }, new AbortController().signal)) chunks.push(Uint8Array.from(chunk));
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    } finally {
      await disk.close();
      await own.close();
      await sibling.source.close();
    }
  });
});
