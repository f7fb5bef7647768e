import { open, mkdir, readdir, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { counting } from "../../agent/blocks/counting.ts";
import type { DirectoryEntry, FileSystem } from "../../agent/filesystems/filesystem.ts";
import { textToByteString } from "../../agent/filesystems/byte-string.ts";
import { fat } from "../../agent/filesystems/fat/driver.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";

/** mtools takes file names in the locale's encoding, and the zone that we read times in. */
const environment = { LC_ALL: "C.UTF-8", TZ: "UTC", MTOOLS_LOWER_CASE: "0" };

let folder: string;
let tree: string;
/** The tree that is copied onto each volume: the oracle. */
let expected: Listing;

beforeAll(async () => {
  requireTools("mkfs.vfat", "fsck.fat", "mcopy", "mattrib", "mdel", "mlabel", "fls", "icat", "blkid");
  folder = await temporaryFolder();
  tree = join(folder, "tree");
  await makeTree(tree);
  expected = await walkKernelMount(tree, { xattrs: false });
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

async function makeTree(root: string): Promise<void> {
  const random = new Random(3);
  const files: [string, Buffer][] = [];
  for (const size of [0, 1, 511, 512, 513, 4096, 65_537, 400_000]) files.push([`sizes/of ${size} bytes`, random.bytes(size)]);
  for (let index = 0; index < 200; index += 1) files.push([`many/file number ${index}.txt`, Buffer.from(`${index}\n`)]);
  const names = [
    "UPPER.TXT", "lower.txt", "Mixed.Txt", "short.TXT", "SHORT2.txt", "no extension", ".hidden", "a.b.c.d", "x".repeat(255), "y".repeat(13), "z".repeat(26),
    "Zürich – Übersicht.txt", "日本語のファイル名.txt", "Ελληνικά", "ÄÖÜ.TXT", "two  spaces", "plus+comma,semi;eq=[x]", "NUL~1", "tilde~9.txt",
  ];
  for (const name of names) files.push([`names/${name}`, Buffer.from(name)]);
  files.push(["deep/er/and/deeper/still/leaf.txt", Buffer.from("leaf")]);
  for (const [path, contents] of files) {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), contents);
    const seconds = Date.UTC(1980 + random.integer(0, 100), random.integer(0, 12), random.integer(1, 29)) / 1000 + random.integer(0, 43_200) * 2;
    await utimes(join(root, path), seconds, seconds);
  }
}

async function makeImage(name: string, sizeMb: number, options: readonly string[]): Promise<string> {
  const image = join(folder, `${name}.raw`);
  await writeFile(image, "");
  await truncate(image, sizeMb * 1024 * 1024);
  await execa("mkfs.vfat", ["-n", "PLUCK TEST", "-i", "1234abcd", ...options, image]);
  return image;
}

async function copyTree(image: string): Promise<void> {
  const entries = await readdir(tree);
  await execa("mcopy", ["-s", "-m", "-i", image, ...entries.map((entry) => join(tree, entry)), "::/"], { env: environment });
}

async function withFat<T>(image: string, use: (fs: FileSystem) => Promise<T>): Promise<T> {
  const source = openImageSource(image);
  try {
    return await use(await fat.open(cached(source)));
  } finally {
    await source.close();
  }
}

/** Modes and owners are the mount's; directories' times and sizes are the volume's own. */
const ignored = new Set(["mode", "uid", "gid", "linkCount"] as const);

function filesOf(listing: Listing): Listing {
  return new Map([...listing].map(([path, entry]) => [path, entry.type === "d" ? { path, type: "d" } : entry]));
}

describe("FAT volumes made by mkfs.vfat and filled by mtools", () => {
  test.each([
    ["FAT12", 4, ["-F", "12"]],
    ["FAT12 of 4096-byte sectors", 8, ["-F", "12", "-S", "4096"]],
    ["FAT16", 16, ["-F", "16"]],
    ["FAT16 of large clusters and one FAT", 256, ["-F", "16", "-s", "64", "-f", "1"]],
    ["FAT32 of one sector a cluster", 40, ["-F", "32", "-s", "1"]],
    ["FAT32 of 2048-byte sectors", 300, ["-F", "32", "-S", "2048"]],
  ])("show every name, byte and time that was copied: %s", async (name, sizeMb, options) => {
    const image = await makeImage(name, sizeMb, options);
    await copyTree(image);
    await withFat(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      expect(compareListings(filesOf(expected), listing, { ignore: ignored })).toEqual([]);
      const { stdout: facts } = await execa("blkid", ["-p", "-o", "export", image]);
      expect(fs.facts).toMatchObject({
        type: /^TYPE=(.*)$/m.exec(facts)![1],
        label: /^LABEL=(.*)$/m.exec(facts)![1]!.replace(/\\/g, ""),
        uuid: /^UUID=(.*)$/m.exec(facts)![1],
        state: "clean",
      });
      const { stdout: check } = await execa("fsck.fat", ["-n", image]);
      const [, used, total] = /(\d+)\/(\d+) clusters/.exec(check)!;
      expect(fs.facts.usedBytes! / fs.facts.blockSizeBytes).toBe(Number(used));
      expect(fs.facts.sizeBytes).toBeGreaterThanOrEqual(Number(total) * fs.facts.blockSizeBytes);
    });
  });

  test("show fragmented files whole, as sleuthkit reads them", async () => {
    const image = await makeImage("fragmented", 16, ["-F", "16", "-s", "1"]);
    const random = new Random(11);
    const small = join(folder, "small");
    await writeFile(small, random.bytes(1500));
    for (let index = 0; index < 60; index += 1) await execa("mcopy", ["-i", image, small, `::/s${index}`], { env: environment });
    for (let index = 0; index < 60; index += 2) await execa("mdel", ["-i", image, `::/s${index}`], { env: environment });
    const large = join(folder, "large");
    await writeFile(large, random.bytes(2_000_001));
    await execa("mcopy", ["-i", image, large, "::/large file.bin"], { env: environment });
    await withFat(image, async (fs) => {
      const entry = (await fs.lookup(fs.root, "large file.bin"))!;
      expect((await fs.extents(entry.node, 0, 2_000_001)).length).toBeGreaterThan(10);
      const listing = await walkFileSystem(fs);
      const { stdout: names } = await execa("fls", ["-r", "-p", "-u", "-F", image]);
      const files = names.split("\n").map((line) => /^r\/r (\d+):\t(.*)$/.exec(line)).filter((match) => match !== null && !match[2]!.endsWith("(Volume Label Entry)"));
      expect(files.map((match) => match![2]).sort()).toEqual([...listing.keys()].filter((path) => path !== "").sort());
      const inode = files.find((match) => match![2] === "large file.bin")![1]!;
      const { stdout: hash } = await execa("sh", ["-c", "icat \"$0\" \"$1\" | sha256sum", image, inode]);
      expect(hash.startsWith(listing.get("large file.bin")!.sha256!)).toBe(true);
    });
  });

  test("show read-only files as Linux does, and find names without regard to case", async () => {
    const image = await makeImage("attributes", 4, ["-F", "12"]);
    await copyTree(image);
    await execa("mattrib", ["+r", "-i", image, "::/names/Mixed.Txt"], { env: environment });
    await withFat(image, async (fs) => {
      const names = (await fs.lookup(fs.root, "NAMES"))!;
      const mixed = (await fs.lookup(names.node, "mIXED.tXT."))!;
      expect(mixed.name).toBe("Mixed.Txt");
      expect(await fs.stat([mixed.node])).toMatchObject([{ mode: 0o100555 }]);
      expect((await fs.lookup(names.node, textToByteString("Zürich – Übersicht.txt")))?.type).toBe("file");
      const alias = await fs.lookup((await fs.lookup(fs.root, "many"))!.node, "FILENU~1.TXT");
      expect(alias?.name).toMatch(/^file number \d+\.txt$/);
    });
  });

  test("list a folder of files with a read for its contents, none for an entry", async () => {
    const image = await makeImage("reads", 40, ["-F", "32", "-s", "1"]);
    await copyTree(image);
    const source = openImageSource(image);
    try {
      const counted = counting(source);
      const fs = await fat.open(counted);
      expect(counted.reads).toBeLessThanOrEqual(8);
      const many = (await fs.lookup(fs.root, "many"))!;
      counted.reset();
      let entries = 0;
      for await (const batch of fs.readDirectory(many.node)) entries += (await fs.stat(batch.map((entry) => entry.node))).length;
      expect(entries).toBe(200);
      // mtools lays the folder's clusters between those of its files: one read for each run of them.
      expect(counted.reads).toBeLessThanOrEqual(Math.ceil((200 * 3 * 32) / 512) + 1);
      counted.reset();
      const { node } = (await fs.lookup((await fs.lookup(fs.root, "sizes"))!.node, "of 400000 bytes"))!;
      counted.reset();
      expect(await fs.extents(node, 0, 400_000)).toHaveLength(1);
      expect(counted.reads).toBeLessThanOrEqual(1);
    } finally {
      await source.close();
    }
  });

  test("prefer the label in the root directory to the one in the boot sector, as blkid does", async () => {
    const image = await makeImage("label", 4, ["-F", "12"]);
    await execa("mlabel", ["-i", image, "::NEW LABEL"], { env: environment });
    const file = await open(image, "r+");
    await file.write(Buffer.from("BOOT ONLY  "), 0, 11, 43);
    await file.close();
    const { stdout } = await execa("blkid", ["-p", "-o", "value", "-s", "LABEL", image]);
    await withFat(image, async (fs) => expect(fs.facts.label).toBe(stdout.trim()));
  });

  test.each([
    ["FAT12", 4, ["-F", "12"], 37],
    ["FAT16", 16, ["-F", "16"], 37],
    ["FAT32", 40, ["-F", "32", "-s", "1"], 65],
  ])("say when they were not unmounted: %s", async (name, sizeMb, options, offset) => {
    const image = await makeImage(`dirty-${name}`, sizeMb, options);
    await withFat(image, async (fs) => expect(fs.facts.state).toBe("clean"));
    const file = await open(image, "r+");
    await file.write(Buffer.from([1]), 0, 1, offset);
    await file.close();
    await withFat(image, async (fs) => expect(fs.facts.state).toBe("dirty"));
  });
});

describe("damaged chains", () => {
  /** A file of 20 clusters on FAT16, then one entry of its chain overwritten; fsck.fat agrees that it is damage. */
  async function damaged(cluster: (first: number) => number, value: (first: number) => number): Promise<string> {
    const image = await makeImage(`damaged-${Math.random()}`, 16, ["-F", "16", "-s", "1", "-R", "1", "-f", "1"]);
    const file = join(folder, "twenty");
    await writeFile(file, new Random(1).bytes(20 * 512 - 100));
    await execa("mcopy", ["-i", image, file, "::/twenty"], { env: environment });
    const first = await withFat(image, async (fs) => ((await fs.lookup(fs.root, "twenty"))!.node as { firstCluster: number }).firstCluster);
    const handle = await open(image, "r+");
    const entry = Buffer.alloc(2);
    entry.writeUInt16LE(value(first));
    await handle.write(entry, 0, 2, 512 + cluster(first) * 2);
    await handle.close();
    expect((await execa("fsck.fat", ["-n", image], { reject: false })).exitCode).toBe(1);
    return image;
  }

  test.each([
    ["ends early", (first: number) => first + 9, () => 0xffff, "its chain holds 10 clusters, 20 are needed"],
    ["comes back", (first: number) => first + 9, (first: number) => first + 3, "comes back to cluster"],
    ["runs into a free cluster", (first: number) => first + 9, () => 0, "is free"],
    ["runs into a bad cluster", (first: number) => first + 9, () => 0xfff7, "is marked bad"],
    ["leaves the volume", (first: number) => first + 9, () => 0xfff0, "points to 65520"],
  ])("give the part that is there and an error for the rest: a chain that %s", async (_, cluster, value, message) => {
    const image = await damaged(cluster, value);
    await withFat(image, async (fs) => {
      const { node } = (await fs.lookup(fs.root, "twenty"))!;
      const size = 20 * 512 - 100;
      expect(await fs.extents(node, 0, size)).toMatchObject([{ kind: "data", offset: 0, length: 10 * 512 }]);
      await expect((async () => await fs.extents(node, 10 * 512, 1))()).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining(message) });
      const listing = await walkFileSystem(fs);
      expect(listing.get("twenty")).toMatchObject({ size, error: expect.stringContaining(message) });
      expect(listing.get("twenty")!.sha256).toBeUndefined();
    });
  });

  test("give a folder's entries up to the damage, then an entry that says so", async () => {
    const image = await makeImage("damaged-folder", 16, ["-F", "16", "-s", "1", "-R", "1", "-f", "1"]);
    await execa("mcopy", ["-s", "-i", image, join(tree, "many"), "::/"], { env: environment });
    const first = await withFat(image, async (fs) => ((await fs.lookup(fs.root, "many"))!.node as { firstCluster: number }).firstCluster);
    const handle = await open(image, "r+");
    const entry = Buffer.alloc(2);
    // Follow two links by hand, then send the third cluster back to the first.
    let cluster = first;
    for (let step = 0; step < 2; step += 1) {
      await handle.read(entry, 0, 2, 512 + cluster * 2);
      cluster = entry.readUInt16LE(0);
    }
    entry.writeUInt16LE(first);
    await handle.write(entry, 0, 2, 512 + cluster * 2);
    await handle.close();
    await withFat(image, async (fs) => {
      const { node } = (await fs.lookup(fs.root, "many"))!;
      const names: string[] = [];
      let last: DirectoryEntry<unknown> | undefined;
      for await (const batch of fs.readDirectory(node)) {
        names.push(...batch.map((found) => found.name));
        last = batch.at(-1);
      }
      // Three clusters of 16 records: `.`, `..`, and three records a file; then the damage.
      expect(names.length).toBe(Math.floor((3 * 16 - 2) / 3) + 1);
      expect(last).toMatchObject({ name: "#damaged-directory-cluster-3", error: { code: "corrupt", message: expect.stringContaining("comes back to cluster") } });
      expect(await fs.stat([last!.node])).toMatchObject([{ code: "corrupt" }]);
      const lost = Array.from({ length: 200 }, (_, index) => `file number ${index}.txt`).find((name) => !names.includes(name))!;
      await expect(fs.lookup(node, lost)).rejects.toMatchObject({ code: "corrupt" });
      expect((await fs.lookup(node, names[0]!.toUpperCase()))?.name).toBe(names[0]);
      const listing = await walkFileSystem(fs);
      expect([...listing.keys()].filter((path) => path.startsWith("many/"))).toHaveLength(names.length);
    });
  });
});
