import { expect, test } from "vitest";
import type { BlockSource } from "../blocks/block-source.ts";
import { corrupt } from "../blocks/disk-error.ts";
import { memorySource } from "../blocks/memory-source.ts";
import type { Volume } from "../volumes/volume.ts";
import { openDisk, type OpenDisk } from "./disk.ts";
import { FakeFileSystem, fakeFile, fakeFolder, type FakeNode } from "./fake-file-system.ts";

interface Made {
  readonly root: FakeNode;
  readonly uuid?: string;
  readonly label?: string;
  readonly kind?: Volume["kind"];
}

async function open(made: Record<string, Made>): Promise<OpenDisk> {
  const roots = new Map<BlockSource, Made>();
  return openDisk(memorySource(new Uint8Array(4096)), {
    diskId: "guests",
    scan: async () =>
      Object.entries(made).map(([name, one]) => {
        const source = memorySource(new Uint8Array(4096));
        roots.set(source, one);
        return { name, kind: one.kind ?? "partition", source, sizeBytes: 4096 };
      }),
    open: async (source) => {
      const { root, uuid, label } = roots.get(source)!;
      return new FakeFileSystem(root, { uuid, label });
    },
  });
}

const at = (path: string) => ({ segments: path.split("/").filter((name) => name !== ""), withinDepth: 0 });
const withFstab = (lines: string, more: Record<string, FakeNode> = {}) => fakeFolder({ etc: fakeFolder({ fstab: fakeFile(lines) }), ...more });
const data = () => ({ root: fakeFolder({ here: fakeFile("x") }) });

async function outcomes(disk: OpenDisk, path = "/guest"): Promise<Record<string, string | undefined>> {
  const { guest } = await disk.info(at(path));
  return Object.fromEntries(guest?.mounts.map(({ mountPoint, volume, problem }) => [mountPoint, volume ?? problem]) ?? []);
}

async function names(disk: OpenDisk, path: string): Promise<(string | undefined)[]> {
  return (await disk.list({ ...at(path), recursive: false, limit: 100 })).nodes.map((node) => node.path.at(-1));
}

const unsure = "which disk of the backup that is can't be told from its name";

test("logical volumes go by both of their names, dashes and all", async () => {
  const root = withFstab("/dev/mapper/my--vg-root / ext4\n/dev/my-vg/da-ta /data xfs\n", { data: fakeFolder() });
  const disk = await open({ "my-vg-root": { root, kind: "logical-volume" }, "my-vg-da-ta": { ...data(), kind: "logical-volume" } });
  expect(await outcomes(disk)).toEqual({ "/": "my-vg-root", "/data": "my-vg-da-ta" });
  expect(await names(disk, "/guest/data")).toEqual(["here"]);
});

test("a kernel's name counts only where no other disk can be meant", async () => {
  const folders = () => ({ boot: fakeFolder(), data: fakeFolder() });
  const own = await open({ p1: data(), p2: { root: withFstab("/dev/sdb2 / ext4\n/dev/sdb1 /boot ext4\n/dev/sda1 /data ext4\n", folders()) } });
  expect(await outcomes(own)).toEqual({ "/": "p2", "/boot": "p1", "/data": unsure });
  const first = await open({ p1: data(), p2: { root: withFstab("LABEL=r / ext4\n/dev/vda1 /boot ext4\n", folders()), label: "r" } });
  expect(await outcomes(first)).toEqual({ "/": "p2", "/boot": "p1" });
  const second = await open({ p1: data(), p2: { root: withFstab("LABEL=r / ext4\n/dev/vdb1 /data ext4\n", folders()), label: "r" } });
  expect(await outcomes(second)).toEqual({ "/": "p2", "/data": unsure });
});

test("of several systems the ones that name their own volume come first", async () => {
  const disk = await open({ p1: { root: withFstab("UUID=bb / ext4"), uuid: "aa" }, p2: { root: withFstab("UUID=BB / ext4"), uuid: "bb" } });
  expect(await names(disk, "/")).toEqual(["p1", "p2", "guest", "guest-2"]);
  expect((await disk.info(at("/guest"))).guest?.root).toBe("p2");
  expect((await disk.info(at("/guest-2"))).guest?.root).toBe("p1");
  expect(disk.volumes.map((volume) => volume.name)).toEqual(["p1", "p2"]);
});

test("an fstab that can't be read is said, not passed over", async () => {
  const fstab = fakeFile("UUID=1 / ext4", { readError: corrupt("extent tree", 4096, "magic 0") });
  const disk = await open({ p1: { root: fakeFolder({ etc: fakeFolder({ fstab }) }) } });
  const { nodes } = await disk.list({ ...at("/"), recursive: false, limit: 100 });
  expect(nodes.at(-1)).toMatchObject({ path: ["guest"], error: { code: "corrupt" } });
  await expect(disk.resolve(at("/guest/etc"))).rejects.toMatchObject({ code: "corrupt" });
});

test("a mount point that is not there, no folder, or taken keeps the others", async () => {
  const lines = "LABEL=r / ext4\nLABEL=d /none ext4\nLABEL=d /file ext4\nLABEL=d /data ext4\nLABEL=d /data/ ext4\n//nas/x /nas cifs\n";
  const disk = await open({ p1: { root: withFstab(lines, { file: fakeFile(), data: fakeFolder() }), label: "r" }, p2: { ...data(), label: "d" } });
  expect(await outcomes(disk)).toEqual({
    "/": "p1", "/none": "the mount point doesn't exist", "/file": "the mount point is no folder", "/data": "p2", "/data/": "an earlier line mounts there",
  });
});

test("no fstab, no tree", async () => {
  expect(await names(await open({ p1: data() }), "/")).toEqual(["p1"]);
});
