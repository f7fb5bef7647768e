import { closeSync, mkdirSync, openSync, statSync, writeFileSync, writeSync } from "node:fs";
import { copyFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openDisk } from "../../agent/reader/disk.ts";
import { eventually } from "../system/system.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeDisk, openDisks, type OpenedDisk, summarise } from "./disks.ts";
import { formatBtrfs, type Place, withBtrfsMount, withLoops } from "./mount.ts";

// Property: a filesystem over several partitions, disks or logical volumes of one backup shows what Linux shows of it,
// once; its other devices say where. Without a device that nothing makes up for it is refused, naming that device.

const uuidPattern = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

describeAsRoot("btrfs over several devices of a backup", () => {
  let folder: string;
  let disk0: string;
  let disk1: string;
  beforeAll(() => requireTools("mkfs.btrfs", "btrfs", "btrfstune", "losetup", "sfdisk", "blkid"));
  beforeEach(async () => {
    folder = await temporaryFolder();
    disk0 = join(folder, "disk0");
    disk1 = join(folder, "disk1");
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  /** A filesystem over the places, filled through the kernel's own mount; gives what the kernel shows of it. */
  async function make(places: readonly Place[], args: readonly string[], more: (directory: string) => Promise<void> | void = () => undefined): Promise<Listing> {
    await formatBtrfs(places, args);
    await withBtrfsMount(places, { readOnly: false }, async (directory) => {
      fill(directory);
      await more(directory);
    });
    return await withBtrfsMount(places, {}, (directory) => walkKernelMount(directory));
  }

  async function expectSame(opened: OpenedDisk, name: string, expected: Listing): Promise<void> {
    const volume = opened.volumes.get(name);
    expect(volume?.fileSystem, JSON.stringify(summarise(opened))).toBeDefined();
    expect(compareListings(expected, await walkFileSystem(volume!.fileSystem!))).toEqual([]);
  }

  test("two partitions of one disk: listed under the first, without asking for other disks", async () => {
    const [p1, , p3] = await makeDisk(disk0, [130, 20, 130]);
    const expected = await make([p1!, p3!], ["-d", "raid0", "-m", "raid1", "-L", "wide"]);
    const opened = await openDisks(disk0, disk0);
    await expectSame(opened, "p1", expected);
    const { summary } = opened.volumes.get("p1")!;
    expect(summary).toMatchObject({ readable: true, filesystem_type: "btrfs", label: "wide", error: null, size_bytes: 260 * 1024 * 1024 });
    expect(summarise(opened)).toEqual({
      p1: "btrfs",
      p2: expect.stringContaining("no known filesystem"),
      p3: `unsupported: device 2 of the btrfs filesystem ${summary.uuid} at /p1`,
    });
    expect(opened.volumes.get("p3")!.summary).toMatchObject({ readable: false, filesystem_type: "btrfs" });
    expect(opened.siblingsAsked).toBe(0);
  });

  test("the device with the lowest number comes first, wherever it lies", async () => {
    const [p1, p2] = await makeDisk(disk0, [130, 130]);
    const expected = await make([p2!, p1!], ["-d", "raid0", "-m", "raid0"]);
    const opened = await openDisks(disk0);
    await expectSame(opened, "p2", expected);
    expect(summarise(opened)["p1"]).toMatch(/^unsupported: device 2 of the btrfs filesystem .* at \/p2$/);
  });

  test("two disks: whole from either side, and refused by name without the other", async () => {
    const [, p2] = await makeDisk(disk0, [4, 130]);
    await writeFile(disk1, "");
    await truncate(disk1, 130 * 1024 * 1024);
    const expected = await make([p2!, disk1], ["-d", "raid0", "-m", "raid0"]);
    const first = await openDisks(disk0, disk1);
    await expectSame(first, "p2", expected);
    expect(first.siblingsAsked).toBe(1);
    const second = await openDisks(disk1, disk0);
    expect([...second.volumes.keys()]).toEqual(["disk"]);
    await expectSame(second, "disk", expected);

    const uuid = await deviceUuid(disk1, 0);
    const alone = new RegExp(`^unsupported: btrfs over several devices: device 2 \\(${uuid}\\) is on none of the disks looked at; download it raw`);
    expect(summarise(await openDisks(disk0))["p2"]).toMatch(alone);
    expect(summarise(await openDisks(disk0, disk0.replace("disk0", "none-of-it")).catch(() => openDisks(disk0)))["p2"]).toMatch(alone);
    // The file of the other disk can't be opened: trying again may help.
    expect(summarise(await openDisks(disk0, undefined))["p2"]).toBe(`io_error: btrfs over several devices: device 2 (${uuid}) is on none of the disks looked at; not opened: disk 1`);
  });

  test("a mirror with its other disk gone opens, and says which device it lacks", async () => {
    const [p1] = await makeDisk(disk0, [130]);
    const [q1] = await makeDisk(disk1, [130]);
    const expected = await make([p1!, q1!], ["-d", "raid1", "-m", "raid1"]);
    for (const [own, other, number] of [[disk0, disk1, 2], [disk1, disk0, 1]] as const) {
      const opened = await openDisks(own);
      await expectSame(opened, "p1", expected);
      const uuid = await deviceUuid(other, 1024 * 1024);
      expect(opened.volumes.get("p1")!.error).toEqual({ code: "unsupported", detail: `read without device ${number} (${uuid}), on none of the disks looked at: copies or parity make up for that` });
      expect(opened.volumes.get("p1")!.summary).toMatchObject({ readable: true, error: { code: "unsupported" } });
    }
    const whole = await openDisks(disk0, disk1);
    expect(whole.volumes.get("p1")!.error).toBeUndefined();
  });

  test("a clone of a filesystem on one device is a filesystem of its own", async () => {
    const [p1, p2] = await makeDisk(disk0, [130, 130]);
    const expected = await make([p1!], []);
    await execa("dd", [`if=${disk0}`, `of=${disk0}`, "bs=1M", `skip=${p1!.offset / 1024 ** 2}`, `seek=${p2!.offset / 1024 ** 2}`, "count=130", "conv=notrunc", "status=none"]);
    const opened = await openDisks(disk0, disk0);
    expect(summarise(opened)).toEqual({ p1: "btrfs", p2: "btrfs" });
    await expectSame(opened, "p2", expected);
    expect(opened.siblingsAsked).toBe(0);
  });

  describe("a device that missed what the other one has", () => {
    test("is read only where it is right, also for contents without checksums", async () => {
      const [p1] = await makeDisk(disk0, [200]);
      const [q1] = await makeDisk(disk1, [200]);
      const old = join(folder, "old");
      for (const stale of [disk0, disk1]) {
        await make([p1!, q1!], ["-d", "raid1", "-m", "raid1"], writeNoCow);
        await copyFile(stale, old);
        const other = stale === disk0 ? q1! : p1!;
        await withBtrfsMount([other], { readOnly: false, options: "degraded" }, async (directory) => {
          fill(directory, stale === disk0 ? 21 : 22);
          await overwriteNoCow(directory, stale);
        });
        const expected = await withBtrfsMount([other], { options: "degraded" }, (directory) => walkKernelMount(directory));
        const opened = stale === disk0 ? await openDisks(old, disk1) : await openDisks(disk0, old);
        await expectSame(opened, "p1", expected);
        const number = stale === disk0 ? 1 : 2;
        expect(opened.volumes.get("p1")!.error?.detail).toMatch(new RegExp(`^device ${number} \\(${uuidPattern}\\) missed the last commit or more: `));
      }
    });

    test("is listed as another one where an up-to-date copy of it is there", async () => {
      const [p1, p2, p3] = await makeDisk(disk0, [130, 130, 130]);
      await make([p1!, p2!], ["-d", "raid0", "-m", "raid1"]);
      await execa("dd", [`if=${disk0}`, `of=${disk0}`, "bs=1M", `skip=${p1!.offset / 1024 ** 2}`, `seek=${p3!.offset / 1024 ** 2}`, "count=130", "conv=notrunc", "status=none"]);
      // p3 is now what p1 was.
      await withBtrfsMount([p1!, p2!], { readOnly: false }, async (directory) => fill(directory, 30));
      const expected = await withBtrfsMount([p1!, p2!], {}, (directory) => walkKernelMount(directory));
      const opened = await openDisks(disk0);
      await expectSame(opened, "p1", expected);
      expect(summarise(opened)["p3"]).toMatch(/^unsupported: another device 1 \(generation \d+, the newest is \d+\), which is not read, of the btrfs filesystem .* at \/p1$/);
    });
  });

  test("two devices that went separate ways are never mixed", async () => {
    const [p1] = await makeDisk(disk0, [200]);
    const [q1] = await makeDisk(disk1, [200]);
    await make([p1!, q1!], ["-d", "raid1", "-m", "raid1"]);
    const expected: Listing[] = [];
    const goOn = async (place: Place, seed: number) => {
      await withBtrfsMount([place], { readOnly: false, options: "degraded,commit=300" }, async (directory) => fill(directory, seed));
      return await withBtrfsMount([place], { options: "degraded" }, (directory) => walkKernelMount(directory));
    };
    expected.push(await goOn(p1!, 51), await goOn(q1!, 52));
    // As many commits on each: whose disk is mounted counts.
    const counts = await Promise.all([p1!, q1!].map(async (place) => await generationOf(place)));
    expect(counts[1]).toBe(counts[0]);
    await expectSame(await openDisks(disk0, disk1), "p1", expected[0]!);
    const second = await openDisks(disk1, disk0);
    await expectSame(second, "p1", expected[1]!);
    expect(second.volumes.get("p1")!.error?.detail).toMatch(new RegExp(`^device 1 \\(${uuidPattern}\\) went another way since, mounted without the others, and is not read$`));
    // More on one: it counts for both.
    const newest = await goOn(q1!, 53);
    await expectSame(await openDisks(disk0, disk1), "p1", newest);
    await expectSame(await openDisks(disk1, disk0), "p1", newest);
  });

  test("a replacement that isn't finished is not read, the device it replaces is", async () => {
    // In less space the kernel gives it up at once.
    const [p1, p2] = await makeDisk(disk0, [500, 500]);
    const [q1] = await makeDisk(disk1, [520]);
    await make([p1!, p2!], ["-d", "raid0", "-m", "raid1"]);
    const [copy0, copy1] = [join(folder, "copy0"), join(folder, "copy1")];
    const expected = await withLoops([q1!], async ([target]) => await withBtrfsMount([p1!, p2!], { readOnly: false, options: "commit=300" }, async (directory) => {
      writeFileSync(join(directory, "much"), new Random(9).bytes(32 * 1024 * 1024));
      await execa("sync", ["-f", directory]);
      const listing = await walkKernelMount(directory);
      const uuid = new RegExp(uuidPattern).exec((await execa("btrfs", ["filesystem", "show", directory])).stdout)![0];
      // It would take minutes.
      await writeFile(`/sys/fs/btrfs/${uuid}/devinfo/2/scrub_speed_max`, String(128 * 1024));
      await execa("btrfs", ["replace", "start", "-f", "2", target!, directory]);
      const isUnderWay = async () => (await execa("btrfs", ["replace", "status", "-1", directory])).stdout.includes("% done");
      await eventually("the replacement is under way", isUnderWay);
      await execa("cp", ["--sparse=always", disk0, copy0]);
      await execa("cp", ["--sparse=always", disk1, copy1]);
      expect(await isUnderWay()).toBe(true);
      await execa("btrfs", ["replace", "cancel", directory]);
      return listing;
    }));
    const opened = await openDisks(copy0, copy1);
    await expectSame(opened, "p1", expected);
    const title = `btrfs filesystem ${opened.volumes.get("p1")!.summary.uuid}`;
    expect(summarise(opened)).toEqual({ p1: "btrfs", p2: expect.stringMatching(new RegExp(`^unsupported: device 2.* of the ${title} at /p1$`)) });
    expect(summarise(await openDisks(copy1, copy0))).toEqual({ p1: `unsupported: an unfinished replacement of a device of the ${title}` });
  });

  test("a seed opens; what grew out of it is refused, naming the seed", async () => {
    const [p1] = await makeDisk(disk0, [130]);
    const [q1] = await makeDisk(disk1, [130]);
    const expected = await make([p1!], []);
    await withLoops([p1!], async ([device]) => await execa("btrfstune", ["-S", "1", device!]));
    await withLoops([q1!], async ([added]) => await withBtrfsMount([p1!], {}, async (directory) => {
      await execa("btrfs", ["device", "add", "-f", added!, directory]);
      await execa("mount", ["-o", "remount,rw", directory]);
      writeFileSync(join(directory, "grown"), "new");
    }));
    const opened = await openDisks(disk0, disk1);
    await expectSame(opened, "p1", expected);
    const seed = opened.volumes.get("p1")!.summary.uuid;
    const grown = await openDisks(disk1, disk0);
    expect(summarise(grown)["p1"]).toMatch(new RegExp(`^unsupported: btrfs seed device: device 1 \\(${uuidPattern}\\) is of the filesystem ${seed}`));
  });

  test("its system shows as /guest, joined with its own subvolumes", async () => {
    const [p1, p2] = await makeDisk(disk0, [130, 130]);
    await make([p1!, p2!], ["-d", "raid0", "-m", "raid1"], async (directory) => {
      for (const name of ["@", "@home"]) await execa("btrfs", ["subvolume", "create", join(directory, name)]);
      const partUuid = (await execa("sfdisk", ["--part-uuid", disk0, "2"])).stdout;
      const uuid = /uuid: (\S+)/.exec((await execa("btrfs", ["filesystem", "show", directory])).stdout)![1];
      mkdirSync(join(directory, "@/etc"));
      mkdirSync(join(directory, "@/home"));
      writeFileSync(join(directory, "@/etc/fstab"), `UUID=${uuid} / btrfs subvol=@ 0 0\n# Any of its devices means the whole.\nPARTUUID=${partUuid} /home btrfs subvol=@home 0 0\n`);
      writeFileSync(join(directory, "@home/letter"), new Random(40).bytes(500_000));
    });
    const disk = await openDisk(openImageSource(disk0), { diskId: "guest" });
    try {
      const top = await disk.list({ segments: [], withinDepth: 0, recursive: false, limit: 100 });
      expect(top.nodes.map(({ path }) => path.join("/"))).toEqual(["p1", "p2", "guest"]);
      const chunks: Uint8Array[] = [];
      for await (const chunk of disk.readChunks({ segments: ["guest", "home", "letter"], withinDepth: 0, offset: 0, length: 500_000 }, new AbortController().signal)) chunks.push(Uint8Array.from(chunk));
      expect(Buffer.concat(chunks).equals(new Random(40).bytes(500_000))).toBe(true);
    } finally {
      await disk.close();
    }
  });
});

function fill(directory: string, seed = 20): void {
  const random = new Random(seed);
  const below = join(directory, `folder-${seed}`);
  mkdirSync(below);
  for (let i = 0; i < 60; i++) writeFileSync(join(below, `file-${i}`), random.bytes(i * 70));
  for (const size of [5000, 65_537, 300_000, 3_000_001]) writeFileSync(join(directory, `size-${size}`), random.bytes(size));
}

/** Files whose contents have no checksum. */
async function writeNoCow(directory: string): Promise<void> {
  const folder = join(directory, "nocow");
  mkdirSync(folder);
  await execa("chattr", ["+C", folder]);
  for (const size of [4096, 100_000, 2_000_000]) writeFileSync(join(folder, `size-${size}`), new Random(size).bytes(size));
}

/** In place, so that the old bytes are where the new ones would be. */
async function overwriteNoCow(directory: string, seed: string): Promise<void> {
  for (const size of [4096, 100_000, 2_000_000]) {
    const path = join(directory, "nocow", `size-${size}`);
    const file = openSync(path, "r+");
    writeSync(file, new Random(size + seed.length).bytes(statSync(path).size));
    closeSync(file);
  }
  await execa("sync", ["-f", directory]);
}

async function generationOf({ path, offset }: Exclude<Place, string>): Promise<number> {
  const { stdout } = await withLoops([{ path, offset, sizelimit: 130 * 1024 * 1024 }], async ([device]) => await execa("btrfs", ["inspect-internal", "dump-super", device!]));
  return Number(/^generation\s+(\d+)/m.exec(stdout)![1]);
}

/** Of the device that begins at this byte of an image. */
async function deviceUuid(path: string, startBytes: number): Promise<string> {
  return (await execa("blkid", ["--probe", "--offset", String(startBytes), "--match-tag", "UUID_SUB", "--output", "value", path])).stdout;
}
