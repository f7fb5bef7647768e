import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Entry, Mount } from "../../shared/api.ts";
import { eventually, processesWith, startSystem, type System } from "../system/system.ts";
import { guestImages, guestLacks, guestTestTimeoutMs, type GuestImages } from "../volumes/guest.ts";

// Property: two restore points of a VM whose volume group lies on two disks are open side by side, each with its own
// contents, though their groups, volumes and filesystems have the same names and UUIDs. What is right: the guest's.

/** The VM's two disks at a first and a second restore point. */
function twoRestorePoints(): Promise<GuestImages> {
  return guestImages("lvm-restore-points", ["first0", "first1", "second0", "second1"].map((name) => ({ name, sizeMb: 40 })), `
set -e
printf 'label: gpt\\nsize=4M\\nsize=+\\n' | sfdisk -q $disk2; mdev -s
lvm pvcreate -q \${disk2}2 $disk3
lvm vgcreate -q -s 1M vg \${disk2}2 $disk3
lvm lvcreate -q -y -Wn -Zn -i 2 -I 64k -L 48M -n data vg
lvm lvcreate -q -y -Wn -Zn -L 4M -n other vg $disk3
/sbin/mke2fs -q -t ext4 -F /dev/vg/other
/sbin/mke2fs -q -t ext4 -F /dev/vg/data
mount /dev/vg/data /mnt
random one 8 > /mnt/big; echo first > /mnt/point; echo gone > /mnt/only-first
say first-big $(md5sum < /mnt/big)
umount /mnt; sync
dd if=$disk2 of=$disk0 bs=1M 2>/dev/null; dd if=$disk3 of=$disk1 bs=1M 2>/dev/null
mount /dev/vg/data /mnt
random two 9 > /mnt/big; echo second > /mnt/point; rm /mnt/only-first; echo new > /mnt/only-second
say second-big $(md5sum < /mnt/big)
umount /mnt; sync
`);
}

const lacks = guestLacks();
const q = encodeURIComponent;

describe.skipIf(lacks !== undefined)(`a volume group on two disks${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  let folder: string;
  let system: System;
  let images: GuestImages;

  beforeAll(async () => {
    folder = await mkdtemp("/dev/shm/pluck-lvm-");
    images = await twoRestorePoints();
    const repository = join(folder, "repository");
    for (const point of ["first", "second"]) {
      for (const disk of [0, 1]) {
        const target = join(repository, qcow2Path(point, disk));
        await mkdir(dirname(target), { recursive: true });
        await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", images.disks.get(`${point}${disk}`)!, target]);
      }
    }
    system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository, PLUCK_NBD_SLOTS: "3" });
    const site = (await system.api("GET", "/repositories")).body.repositories[0];
    for (const [day, point] of ["first", "second"].entries()) {
      const reply = await system.api("POST", "/backups", {
        vm_name: "lvmtest", repository_id: site.id, backup_id: `backup-lvmtest-${point}`, completed_at: `2026-11-0${day + 1}T00:00:00Z`,
        disks: [0, 1].map((disk) => ({ disk_index: disk, qcow2_path: qcow2Path(point, disk) })),
      });
      expect([200, 201, 409], JSON.stringify(reply.body)).toContain(reply.status);
    }
  }, guestTestTimeoutMs);

  afterAll(async () => {
    await system?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const qcow2Path = (point: string, disk: number): string => `lvmtest/disk-${disk}/${point}.qcow2`;
  const get = async (mount: Mount, call: string, path: string): Promise<Response> => {
    const response = await system.follow(`/restore/${mount.mount_id}/${call}?path=${q(path)}`);
    expect(response.status, await response.clone().text()).toBe(200);
    return response;
  };
  const names = async (mount: Mount, path: string): Promise<string[]> => ((await (await get(mount, "files", path)).json()) as { entries: Entry[] }).entries.map((entry) => entry.name);
  const md5 = async (mount: Mount, path: string): Promise<string> => createHash("md5").update(Buffer.from(await (await get(mount, "download", path)).arrayBuffer())).digest("hex");

  it("shows two restore points side by side, each with its own contents, one slot each", async () => {
    const first = await system.mount("backup-lvmtest-first");
    const second = await system.mount("backup-lvmtest-second");
    const other = await system.mount("backup-lvmtest-second", 1);
    expect(first.volumes.map((volume) => [volume.name, volume.filesystem_type, volume.readable])).toEqual([
      ["p1", null, false],
      ["p2", "LVM2_member", false],
      ["vg-data", "ext4", true],
    ]);
    expect(first.volumes[1]?.error?.detail).toBe('physical volume of the LVM2 volume group "vg": see vg-data');
    expect(other.volumes.map((volume) => [volume.name, volume.filesystem_type, volume.readable])).toEqual([
      ["disk", "LVM2_member", false],
      ["vg-data", "ext4", true],
      ["vg-other", "ext4", true],
    ]);
    expect(await names(first, "/vg-data")).toEqual(["lost+found", "big", "only-first", "point"]);
    expect(await names(second, "/vg-data")).toEqual(["lost+found", "big", "only-second", "point"]);
    expect(await (await get(first, "download", "/vg-data/point")).text()).toBe("first\n");
    expect(await (await get(second, "download", "/vg-data/point")).text()).toBe("second\n");
    expect(await md5(first, "/vg-data/big")).toBe(images.said.get("first-big")?.split(" ")[0]);
    expect(await md5(second, "/vg-data/big")).toBe(images.said.get("second-big")?.split(" ")[0]);
    expect(await md5(other, "/vg-data/big")).toBe(images.said.get("second-big")?.split(" ")[0]);

    // Every disk of both points is served; ending the mounts ends all of it.
    expect(await processesWith("qemu-nbd", folder)).toHaveLength(6);
    for (const mount of [first, second, other]) expect((await system.api("DELETE", `/restore/${mount.mount_id}`)).status).toBeLessThan(300);
    await eventually("no qemu-nbd is left", async () => (await processesWith("qemu-nbd", folder)).length === 0);
  });

  it("says what is missing when another disk of the backup can't be opened", async () => {
    await rm(join(folder, "repository", qcow2Path("first", 1)));
    const mount = await system.mount("backup-lvmtest-first");
    const data = mount.volumes.find((volume) => volume.name === "vg-data");
    expect(data).toMatchObject({ readable: false, error: { code: "io_error" } });
    expect(data?.error?.detail).toMatch(/needs the physical volume .*; not opened: lvmtest\/disk-1\/first\.qcow2$/);
    await system.api("DELETE", `/restore/${mount.mount_id}`);
  });
});
