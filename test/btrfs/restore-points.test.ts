import { hash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Entry, Mount } from "../../shared/api.ts";
import { eventually, processesWith, startSystem, type System } from "../system/system.ts";
import { describeAsRoot, requireTools } from "../tools/environment.ts";
import { Random } from "../tools/random.ts";
import { makeDisk } from "./disks.ts";
import { formatBtrfs, withBtrfsMount } from "./mount.ts";

// Property: two restore points of a VM whose btrfs lies on two disks are open side by side, each with its own contents,
// though their filesystems and devices have the same UUIDs.

const q = encodeURIComponent;
const points = ["first", "second"] as const;
const contents = { first: new Random(61).bytes(6_000_000), second: new Random(62).bytes(7_000_001) };

describeAsRoot("a btrfs on two disks", () => {
  let folder: string;
  let system: System;

  beforeAll(async () => {
    requireTools("mkfs.btrfs", "btrfs", "losetup", "sfdisk", "qemu-img");
    folder = await mkdtemp("/dev/shm/pluck-btrfs-");
    const disk0 = join(folder, "disk0");
    const disk1 = join(folder, "disk1");
    const [, p2] = await makeDisk(disk0, [4, 130]);
    await writeFile(disk1, "");
    await truncate(disk1, 130 * 1024 * 1024);
    await formatBtrfs([p2!, disk1], ["-d", "raid0", "-m", "raid1", "-L", "wide"]);
    for (const point of points) {
      await withBtrfsMount([p2!, disk1], { readOnly: false }, async (directory) => {
        writeFileSync(join(directory, "big"), contents[point]);
        writeFileSync(join(directory, `only-${point}`), point);
        if (point === "first") {
          mkdirSync(join(directory, "etc"));
          writeFileSync(join(directory, "etc/fstab"), "LABEL=wide / btrfs defaults 0 0\n");
        } else rmSync(join(directory, "only-first"));
      });
      for (const [index, disk] of [disk0, disk1].entries()) {
        const target = join(folder, "repository", qcow2Path(point, index));
        await mkdir(dirname(target), { recursive: true });
        await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", disk, target]);
      }
    }
    system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: join(folder, "repository"), PLUCK_NBD_SLOTS: "3" });
    const site = (await system.api("GET", "/repositories")).body.repositories[0];
    for (const [day, point] of points.entries()) {
      const reply = await system.api("POST", "/backups", {
        vm_name: "wide", repository_id: site.id, backup_id: `backup-wide-${point}`, completed_at: `2026-11-0${day + 1}T00:00:00Z`,
        disks: [0, 1].map((disk) => ({ disk_index: disk, qcow2_path: qcow2Path(point, disk) })),
      });
      expect([200, 201, 409], JSON.stringify(reply.body)).toContain(reply.status);
    }
  });

  afterAll(async () => {
    await system?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const qcow2Path = (point: string, disk: number): string => `wide/disk-${disk}/${point}.qcow2`;
  const get = async (mount: Mount, call: string, path: string): Promise<Response> => {
    const response = await system.follow(`/restore/${mount.mount_id}/${call}?path=${q(path)}`);
    expect(response.status, await response.clone().text()).toBe(200);
    return response;
  };
  const names = async (mount: Mount, path: string): Promise<string[]> => ((await (await get(mount, "files", path)).json()) as { entries: Entry[] }).entries.map((entry) => entry.name);
  const sha256 = async (mount: Mount, path: string): Promise<string> => hash("sha256", new Uint8Array(await (await get(mount, "download", path)).arrayBuffer()));

  it("shows two restore points side by side, each with its own contents, from either disk", async () => {
    const mounts = [];
    for (const [point, disk, name] of [["first", 0, "p2"], ["second", 0, "p2"], ["second", 1, "disk"]] as const) {
      const mount = await system.mount(`backup-wide-${point}`, disk);
      mounts.push(mount);
      expect(mount.volumes.find((volume) => volume.name === name)).toMatchObject({ filesystem_type: "btrfs", label: "wide", readable: true, error: null });
      expect(await names(mount, `/${name}`)).toEqual(["etc", "big", `only-${point}`]);
      expect(await sha256(mount, `/${name}/big`)).toBe(hash("sha256", contents[point]));
      expect(await names(mount, "/guest")).toEqual(["etc", "big", `only-${point}`]);
    }
    // Every disk of each mount's backup is served; ending the mounts ends all of it.
    expect(await processesWith("qemu-nbd", folder)).toHaveLength(6);
    for (const mount of mounts) expect((await system.api("DELETE", `/restore/${mount.mount_id}`)).status).toBeLessThan(300);
    await eventually("no qemu-nbd is left", async () => (await processesWith("qemu-nbd", folder)).length === 0);
  });

  it("says which device is missing when the other disk can't be opened", async () => {
    await rm(join(folder, "repository", qcow2Path("first", 1)));
    const mount = await system.mount("backup-wide-first");
    const volume = mount.volumes.find(({ name }) => name === "p2");
    expect(volume).toMatchObject({ readable: false, filesystem_type: "btrfs", error: { code: "io_error" } });
    expect(volume?.error?.detail).toMatch(/device 2 \([0-9a-f-]{36}\) is on none of the disks looked at; not opened: wide\/disk-1\/first\.qcow2$/);
    await system.api("DELETE", `/restore/${mount.mount_id}`);
  });
});
