import { closeSync, ftruncateSync, lstatSync, mkdirSync, openSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { btrfs } from "../../agent/filesystems/btrfs/driver.ts";
import type { BtrfsFileSystem } from "../../agent/filesystems/btrfs/filesystem.ts";
import type { Timestamp } from "../../agent/filesystems/filesystem.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeBtrfs, withBtrfsMount } from "./mount.ts";

describeAsRoot("volumes of btrfs", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.btrfs", "btrfs", "btrfstune", "losetup");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  async function withFileSystem<T>(image: string, use: (fs: BtrfsFileSystem) => Promise<T>): Promise<T> {
    const source = openImageSource(image);
    try {
      return await use((await btrfs.open(cached(source))) as BtrfsFileSystem);
    } finally {
      await source.close();
    }
  }

  test("show the default subvolume as their root, and keep the top level reachable by name", async () => {
    const image = join(folder, "default.img");
    await makeBtrfs([image], []);
    await withBtrfsMount([image], { readOnly: false }, async (directory) => {
      const root = join(directory, "@");
      await execa("btrfs", ["subvolume", "create", root]);
      await execa("btrfs", ["subvolume", "create", join(directory, "@home")]);
      await execa("btrfs", ["subvolume", "create", join(root, "below")]);
      writeFileSync(join(root, "etc"), "in the root");
      writeFileSync(join(root, "below", "file"), "below the root");
      writeFileSync(join(directory, "@home", "letter"), "at home");
      await execa("btrfs", ["subvolume", "set-default", root]);
    });
    const expected = await withBtrfsMount([image], {}, (directory) => walkKernelMount(directory));
    const whole = await withBtrfsMount([image], { options: "subvolid=5" }, (directory) => walkKernelMount(directory));
    await withFileSystem(image, async (fs) => {
      expect(compareListings(expected, await walkFileSystem(fs))).toEqual([]);
      const top = await fs.lookup(fs.root, ".btrfs-toplevel");
      expect(compareListings(whole, await walkFileSystem(new Proxy(fs, { get: (target, name) => (name === "root" ? top!.node : bind(target, name)) })))).toEqual([]);
    });
  });

  test("with equal inode numbers in several subvolumes tell their files apart", async () => {
    const image = join(folder, "ids.img");
    await makeBtrfs([image], []);
    await withBtrfsMount([image], { readOnly: false }, async (directory) => {
      for (const name of ["one", "two"]) {
        await execa("btrfs", ["subvolume", "create", join(directory, name)]);
        writeFileSync(join(directory, name, "file"), name);
      }
      const inodes = ["one", "two"].map((name) => lstatSync(join(directory, name, "file")).ino);
      expect(inodes[0]).toBe(inodes[1]);
    });
    await withFileSystem(image, async (fs) => {
      const ids = [];
      for (const name of ["one", "two"]) {
        const subvolume = await fs.lookup(fs.root, name);
        const file = await fs.lookup(subvolume!.node, "file");
        const [attributes] = await fs.stat([file!.node]);
        ids.push((attributes as { id: string }).id);
      }
      expect(new Set(ids).size).toBe(2);
    });
  });

  test("hold sparse files beyond what a number can count, and their times to the nanosecond", async () => {
    const image = join(folder, "far.img");
    await makeBtrfs([image], []);
    const times = await withBtrfsMount([image], { readOnly: false }, async (directory) => {
      const path = join(directory, "far");
      const file = openSync(path, "w");
      writeSync(file, "near", 10_000);
      closeSync(file);
      await execa("truncate", ["--size", "7E", path]);
      const before = openSync(join(directory, "before the limit"), "w");
      writeSync(before, "far", 2 ** 50);
      ftruncateSync(before, 2 ** 50 + 4096);
      closeSync(before);
      const old = join(directory, "old");
      mkdirSync(old);
      utimesSync(old, -123_456.25, -1.5);
      return ["far", "before the limit", "old"].map((name) => {
        const { atimeNs, ctimeNs, birthtimeNs, mtimeNs } = lstatSync(join(directory, name), { bigint: true });
        return [atimeNs, ctimeNs, birthtimeNs, mtimeNs];
      });
    });
    await withFileSystem(image, async (fs) => {
      const far = (await fs.lookup(fs.root, "far"))!.node;
      expect((await fs.stat([far]))[0]).toMatchObject({ size: 7n * 2n ** 60n });
      expect(await fs.extents(far, 2 ** 45, 2 ** 30)).toEqual([{ kind: "hole", offset: 2 ** 45, length: 2 ** 30 }]);
      const before = (await fs.lookup(fs.root, "before the limit"))!.node;
      const [extent] = await fs.extents(before, 2 ** 50, 3);
      expect(extent?.kind === "decoded" && Buffer.from(await extent.read()).toString()).toBe("far");
      const toNs = (time: Timestamp | undefined) => BigInt(time!.seconds) * 1_000_000_000n + BigInt(time!.nanoseconds);
      const found = [];
      for (const name of ["far", "before the limit", "old"]) {
        const { node } = (await fs.lookup(fs.root, name))!;
        const { accessedAt, changedAt, createdAt } = await fs.details(node);
        const [attributes] = await fs.stat([node]);
        const { mtimeSeconds, mtimeNanoseconds } = attributes as { mtimeSeconds: number; mtimeNanoseconds: number };
        found.push([toNs(accessedAt), toNs(changedAt), toNs(createdAt), toNs({ seconds: mtimeSeconds, nanoseconds: mtimeNanoseconds, digits: 9 })]);
      }
      expect(found).toEqual(times);
    });
  });

  test("open by a copy of the superblock when the first is damaged, and not by one of another filesystem", async () => {
    const image = join(folder, "mirror.img");
    await makeBtrfs([image], []);
    await withBtrfsMount([image], { readOnly: false }, async (directory) => writeFileSync(join(directory, "file"), "still there"));
    const file = openSync(image, "r+");
    writeSync(file, "damage", 65_536 + 0x120);
    await withFileSystem(image, async (fs) => expect(await fs.lookup(fs.root, "file")).toBeDefined());
    writeSync(file, "damage", 64 * 1024 * 1024 + 0x120);
    closeSync(file);
    await expect(withFileSystem(image, async () => undefined)).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("superblock at byte 65536: its crc32c checksum") });
  });

  test("with another uuid than their trees carry open all the same", async () => {
    const image = join(folder, "uuid.img");
    await makeBtrfs([image], []);
    await withBtrfsMount([image], { readOnly: false }, async (directory) => writeFileSync(join(directory, "file"), "the same"));
    const uuid = "11111111-2222-3333-4444-555555555555";
    await execa("btrfstune", ["-M", uuid, image]);
    const expected = await withBtrfsMount([image], {}, (directory) => walkKernelMount(directory));
    await withFileSystem(image, async (fs) => {
      expect(fs.facts.uuid).toBe(uuid);
      expect(compareListings(expected, await walkFileSystem(fs))).toEqual([]);
    });
  });

  test("tell damaged data from good, by its logical address", async () => {
    const image = join(folder, "damaged.img");
    await makeBtrfs([image], ["-d", "single"]);
    const mark = "a mark that stands here alone ";
    await withBtrfsMount([image], { readOnly: false }, async (directory) => writeFileSync(join(directory, "file"), mark.repeat(5000)));
    const copy = join(folder, "damaged-copy.img");
    await copyFile(image, copy);
    const { stdout } = await execa("grep", ["--byte-offset", "--only-matching", "--max-count=1", "--text", mark.repeat(20), copy]);
    const offset = Number(stdout.slice(0, stdout.indexOf(":")));
    const file = openSync(copy, "r+");
    writeSync(file, "X", offset + 50_000);
    closeSync(file);
    // Linux refuses to read the file.
    const expected = await withBtrfsMount([copy], {}, (directory) => walkKernelMount(directory));
    expect(expected.get("file")!.error).toBe("EIO");
    await withFileSystem(copy, async (fs) => {
      const found = await walkFileSystem(fs);
      expect(found.get("file")!.error).toMatch(/^corrupt: btrfs data at logical \d+: the crc32c checksum of no copy matches$/);
    });
  });

  test("a folder of 6,000 entries", async () => {
    const image = join(folder, "many.img");
    await makeBtrfs([image], []);
    await withBtrfsMount([image], { readOnly: false }, async (directory) => {
      for (let i = 0; i < 6_000; i++) writeFileSync(join(directory, `entry ${i}`), i % 10 === 0 ? `${i}` : "");
    });
    const expected = await withBtrfsMount([image], {}, (directory) => walkKernelMount(directory, { xattrs: false }));
    await withFileSystem(image, async (fs) => {
      expect(compareListings(expected, await walkFileSystem(fs))).toEqual([]);
      const names: string[] = [];
      for await (const batch of fs.readDirectory(fs.root)) names.push(...batch.map(({ name }) => name));
      // As they were made: the order of the indexes.
      expect(names).toEqual(Array.from({ length: 6_000 }, (_, i) => `entry ${i}`));
    });
  });
});

function bind(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === "function" ? value.bind(target) : value;
}
