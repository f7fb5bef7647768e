import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDisk, type OpenDisk } from "../../agent/reader/disk.ts";
import type { WalkEntry } from "../../agent/reader/disk-reader.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { attachLoop, detachLoop } from "../tools/loop-mount.ts";
import { typeLetter, walkKernelMount } from "../tools/walk-kernel-mount.ts";

// Property: /guest is what util-linux's own `mount --all --fstab` of the same fstab over the same disk shows.

const uuids = { root: "5c1f3c1e-0a53-4c0f-9d0e-4d3f5a0b7c01", boot: "5c1f3c1e-0a53-4c0f-9d0e-4d3f5a0b7c02", data: "5c1f3c1e-0a53-4c0f-9d0e-4d3f5a0b7c03" };
const fstab = String.raw`# <file system> <mount point> <type> <options> <dump> <pass>
LABEL=my\040data	/srv/my\040data	ext4	defaults	0	2
UUID=${uuids.root}	/	btrfs	subvol=@,compress=zstd	0	0
UUID="${uuids.root}"	/home	btrfs	defaults,subvol=/@home	0	0
UUID=5C1F3C1E-0A53-4C0F-9D0E-4D3F5A0B7C06	/boot/efi	auto	defaults	0	1
PARTLABEL=boot	/boot	ext4	defaults	0	2
/srv/my\040data/www	/var/www	none	bind	0	0
/dev/disk/by-uuid/${uuids.data}	/mnt/link/again	ext4	noauto	0	0
UUID=00000000-1111-2222-3333-444444444444	/archive	ext4	nofail	0	2
UUID=5c1f3c1e-0a53-4c0f-9d0e-4d3f5a0b7c05	none	swap	sw	0	0
`;

/** What each source means; loop devices have no PARTLABEL that mount could look for. */
const partitionOf: Readonly<Record<string, number>> = {
  "UUID=5C1F3C1E-0A53-4C0F-9D0E-4D3F5A0B7C06": 1, "PARTLABEL=boot": 2, [`UUID="${uuids.root}"`]: 3, [String.raw`LABEL=my\040data`]: 4,
};

/** Partitions of the image: [size in MiB, name]. */
const layout = [[40, "efi"], [40, "boot"], [160, "system"], [40, "data"], [8, "swap"]] as const;

describeAsRoot("the guest's own tree", () => {
  let folder: string;
  let image: string;
  let disk: OpenDisk;

  beforeAll(async () => {
    requireTools("sfdisk", "mkfs.ext4", "mkfs.btrfs", "mkswap");
    folder = await temporaryFolder();
    image = join(folder, "disk.raw");
    await execa("truncate", ["-s", "300M", image]);
    await execa("sfdisk", ["-q", image], { input: ["label: gpt", ...layout.map(([size, name]) => `size=${size}MiB, name="${name}"`), ""].join("\n") });
    await withMounts(async (at, device) => {
      await execa("mkfs.ext4", ["-q", "-U", "5c1f3c1e-0a53-4c0f-9d0e-4d3f5a0b7c06", device(1)]);
      await execa("mkfs.ext4", ["-q", "-U", uuids.boot, device(2)]);
      await execa("mkfs.btrfs", ["-q", "-U", uuids.root, device(3)]);
      await execa("mkfs.ext4", ["-q", "-U", uuids.data, "-L", "my data", device(4)]);
      await execa("mkswap", ["-U", "5c1f3c1e-0a53-4c0f-9d0e-4d3f5a0b7c05", device(5)]);
      await at(device(3), async (top) => {
        for (const name of ["@", "@home", "@old"]) await execa("btrfs", ["subvolume", "create", join(top, name)]);
        const root = join(top, "@");
        for (const name of ["etc", "home", "boot/hidden", "srv/my data", "var/www", "archive/underneath", "mnt/real/again", "usr"]) await mkdir(join(root, name), { recursive: true });
        await writeFile(join(root, "etc/fstab"), fstab);
        await writeFile(join(root, "usr/big.bin"), Buffer.alloc(3_000_000, "compressible "));
        await execa("ln", ["-s", "real", join(root, "mnt/link")]);
        await execa("ln", ["-s", "/home/anna", join(root, "usr/anna")]);
        await execa("ln", ["-s", "/boot/efi/EFI", join(root, "efi")]);
        await writeFile(join(root, "boot/hidden/file"), "lies under the mount point");
        await mkdir(join(top, "@home/anna"));
        await writeFile(join(top, "@home/anna/letter.txt"), "dear reader");
        await execa("ln", ["-s", "../../srv/my data/report", join(top, "@home/anna/report")]);
        // A copy of a root, as a snapshot tool leaves it: its fstab says that "/" is elsewhere.
        await mkdir(join(top, "@old/etc"));
        await writeFile(join(top, "@old/etc/fstab"), fstab);
      });
      await at(device(2), async (boot) => {
        await mkdir(join(boot, "efi"));
        await writeFile(join(boot, "vmlinuz"), Buffer.alloc(200_000, 7));
      });
      await at(device(1), async (efi) => {
        await mkdir(join(efi, "EFI/debian"), { recursive: true });
        await writeFile(join(efi, "EFI/debian/grub.cfg"), "set timeout=5\n");
      });
      await at(device(4), async (data) => {
        await mkdir(join(data, "www"));
        await writeFile(join(data, "www/index.html"), "<p>hello</p>\n");
        await execa("ln", [join(data, "www/index.html"), join(data, "www/same.html")]);
        await writeFile(join(data, "report"), "all is well\n");
      });
    });
    disk = await openDisk(openImageSource(image), { diskId: "own-tree" });
  });

  afterAll(async () => {
    await disk?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Attaches the partitions of the image, and detaches them. */
  async function withMounts(use: (at: (device: string, work: (directory: string) => Promise<void>) => Promise<void>, device: (number: number) => string) => Promise<void>): Promise<void> {
    const { stdout } = await execa("sfdisk", ["--json", image]);
    const table = JSON.parse(stdout) as { partitiontable: { partitions: { start: number; size: number }[] } };
    const loops: string[] = [];
    for (const { start, size } of table.partitiontable.partitions) loops.push(await attachLoop(image, { offset: start * 512, sizelimit: size * 512, readOnly: false }));
    const directory = await mkdtemp(join(tmpdir(), "pluck-guest-tree-"));
    try {
      const at = async (device: string, work: (directory: string) => Promise<void>): Promise<void> => {
        await execa("mount", [device, directory]);
        await work(directory).finally(async () => await execa("umount", [directory]));
      };
      await use(at, (number) => loops[number - 1] ?? "");
    } finally {
      await rm(directory, { recursive: true });
      for (const loop of loops) await detachLoop(loop);
    }
  }

  test("is what mount --all makes of the same fstab, entry by entry, byte by byte", async () => {
    let expected = new Map<string, string>();
    await withMounts(async (_, device) => {
        const tree = join(folder, "tree");
        await mkdir(tree);
        await execa("mount", ["-o", "ro,subvol=@", device(3), tree]);
        try {
          // The root is mounted already; bind sources are paths of the guest, so that line is made by hand.
          const lines = fstab.split("\n").filter((line) => !line.includes("\t/\t") && !line.includes("\tbind\t"));
          const named = lines.map((line) => line.replace(/^\S+/, (source) => (partitionOf[source] === undefined ? source : device(partitionOf[source]))));
          await writeFile(join(folder, "fstab"), sortedByDepth(named).join("\n").replaceAll("defaults", "ro"));
          await execa("mount", ["--all", "--fstab", join(folder, "fstab"), "--target-prefix", tree], { reject: false });
          await execa("mount", ["--bind", join(tree, "srv/my data/www"), join(tree, "var/www")]);
          const listing = await walkKernelMount(tree, { xattrs: false });
          expected = new Map([...listing.values()].map(({ path, type, mode, target, sha256, nonZero }) => [path, [type, type === "l" ? 0 : mode, target, sha256 ?? nonZero?.sha256].join()]));
        } finally {
          await execa("umount", ["-R", tree]);
        }
    });
    expect(expected.size).toBeGreaterThan(25);
    expect(Object.fromEntries(await walked(disk, "/guest"))).toEqual(Object.fromEntries(expected));
  });

  test("stands last in /, and not among the volumes", async () => {
    expect(disk.volumes.map(({ name }) => name)).toEqual(["p1", "p2", "p3", "p4", "p5"]);
    const { nodes } = await disk.list({ segments: [], withinDepth: 0, recursive: false, limit: 1000 });
    expect(nodes.map(({ path }) => path)).toEqual([["p1"], ["p2"], ["p3"], ["p4"], ["p5"], ["guest"]]);
    const all = await disk.list({ segments: [], withinDepth: 0, recursive: true, limit: 1000 });
    expect(all.nodes.some(({ path }) => path[0] === "guest")).toBe(false);
  });

  test("is crossed by symlinks, as in the guest, and by paths", async () => {
    expect(await text("/guest/usr/anna/report")).toBe("all is well\n");
    expect(await text("/guest/efi/debian/grub.cfg")).toBe("set timeout=5\n");
    expect(await text("/guest/usr/anna/letter.txt")).toBe("dear reader");
    // Beside it the plain volume, where a link leads no further than its own root.
    await expect(disk.resolve(at("/p3/@/usr/anna"))).rejects.toMatchObject({ code: "path_not_found" });
    await expect(disk.resolve(at("/guest/boot/hidden"))).rejects.toMatchObject({ code: "path_not_found" });
  });

  test("tells what became of each line", async () => {
    const { guest, error } = await disk.info(at("/guest"));
    expect(guest?.root).toBe("p3");
    expect(Object.fromEntries(guest?.mounts.map(({ mountPoint, volume, problem }) => [mountPoint, volume ?? problem]) ?? [])).toEqual({
      "/": "p3",
      "/home": "p3",
      "/boot": "p2",
      "/boot/efi": "p1",
      "/srv/my data": "p4",
      "/var/www": "p4",
      "/mnt/link/again": "the guest doesn't mount it by itself (noauto)",
      "/archive": "no volume that is open has it",
    });
    expect(error?.detail).toContain("/archive (UUID=00000000-1111-2222-3333-444444444444: no volume that is open has it)");
    expect(error?.detail).not.toContain("/mnt/link/again");
    expect((await disk.list({ ...at("/guest/archive"), recursive: false, limit: 10 })).nodes.map(({ path }) => path.at(-1))).toEqual(["underneath"]);
  });

  test("grants no more than the link's folder", async () => {
    await expect(disk.resolve({ ...at("/guest/usr/anna/letter.txt"), withinDepth: 2 })).rejects.toMatchObject({ code: "forbidden" });
  });

  const at = (path: string) => ({ segments: path.split("/").filter((name) => name !== ""), withinDepth: 0 });

  async function text(path: string): Promise<string> {
    const { size } = await disk.resolve(at(path));
    return await new Response(disk.read({ ...at(path), offset: 0, length: size })).text();
  }

  async function walked(from: OpenDisk, path: string): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    let last: { entry: WalkEntry; hash: ReturnType<typeof createHash> } | undefined;
    const hashes = new Map<string, string>();
    const finish = (): void => {
      if (last === undefined) return;
      const { entry, hash } = last;
      const shown = entry.path.join("/");
      const type = typeLetter(entry.mode);
      const digest = entry.hardLinkOf === undefined ? hash.digest("hex") : hashes.get(entry.hardLinkOf.join("/"));
      if (type === "f") hashes.set(shown, digest ?? "");
      found.set(shown, [type, type === "l" ? 0 : entry.mode & 0o7777, entry.symlinkTarget, type === "f" ? digest : undefined].join());
      expect(entry.error).toBeUndefined();
    };
    for await (const item of from.walk(at(path))) {
      if (item.kind === "data") last?.hash.update(item.bytes);
      else {
        finish();
        last = { entry: item, hash: createHash("sha256") };
      }
    }
    finish();
    return found;
  }
});

/** Of one depth in the order of the file: mount --all takes lines as they come, systemd sorts them. */
function sortedByDepth(lines: readonly string[]): string[] {
  const depth = (line: string): number => (line.split("\t")[1] ?? "").split("/").length;
  return lines.toSorted((a, b) => depth(a) - depth(b));
}
