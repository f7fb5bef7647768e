import { lchown, link, lutimes, mkdir, open, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { counting } from "../../agent/blocks/counting.ts";
import type { FileSystem } from "../../agent/filesystems/filesystem.ts";
import { textToByteString } from "../../agent/filesystems/byte-string.ts";
import { iso9660 } from "../../agent/filesystems/iso9660/driver.ts";
import { recognise } from "../../agent/filesystems/recognise.ts";
import { detectFileSystem } from "../../agent/filesystems/registry.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import { isRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing, type ListingEntry } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";

/** genisoimage cuts targets in the wrong place (isoinfo can't read its own either): left out of its images. */
const longLinks = "long links";

let folder: string;
let tree: string;
/** The tree that is written into each image: the oracle. */
let expected: Listing;

beforeAll(async () => {
  requireTools("genisoimage", "xorriso", "isoinfo", "bsdtar", "blkid");
  folder = await temporaryFolder();
  tree = join(folder, "tree");
  await makeTree(tree);
  expected = await walkKernelMount(tree, { xattrs: false });
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

async function makeTree(root: string): Promise<void> {
  const random = new Random(9660);
  const write = async (path: string, contents: Buffer | string): Promise<void> => {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), contents);
    const seconds = Date.UTC(1970 + random.integer(0, 57), random.integer(0, 12), random.integer(1, 29)) / 1000 + random.integer(0, 86_400);
    await lutimes(join(root, path), seconds, seconds);
  };
  for (const size of [0, 1, 2047, 2048, 2049, 32_768, 131_073, 400_000]) await write(`sizes/of ${size} bytes`, random.bytes(size));
  await write("sizes/zeros", Buffer.alloc(300_000));
  await write("sizes/text", "the same words again and again\n".repeat(20_000));
  for (let index = 0; index < 200; index += 1) await write(`many/file number ${index}.txt`, `${index}\n`);
  const names = [
    "UPPER.TXT", "lower.txt", "Mixed.Txt", "no extension", ".hidden", "a.b.c.d", "x".repeat(100), "Zürich – Übersicht.txt",
    "日本語のファイル名.txt", "Ελληνικά", "emoji 🍄.txt", "two  spaces", "plus+comma,eq=[x]", "ends with dot.",
  ];
  for (const name of names) await write(`names/${name}`, name);
  await write("deep/1/2/3/4/5/6/7/8/9/10/leaf", "leaf");
  await write("deep/1/2/3/4/5/6/7/8/other/leaf", "other");
  const links = [
    "leaf", "../names/lower.txt", "/", "/etc/passwd", ".", "..", "./././x", "../../..", "über/日本語",
    "y".repeat(240), Array.from({ length: 40 }, (_, index) => `component-${index}`).join("/"), `../${"z".repeat(250)}/../${"ä".repeat(100)}`,
  ];
  await mkdir(join(root, "links"));
  await mkdir(join(root, longLinks));
  for (const [index, target] of links.entries()) await symlink(target, join(root, target.length > 100 ? longLinks : "links", `link ${index}`));
  await link(join(root, "sizes/of 2049 bytes"), join(root, "sizes/another name"));
  await execa("chmod", ["4751", join(root, "sizes/of 1 bytes")]);
  await execa("chmod", ["1777", join(root, "many")]);
  await execa("mkfifo", [join(root, "links/fifo")]);
  if (!isRoot()) return;
  await lchown(join(root, "sizes/of 1 bytes"), 1234, 100_000);
  await execa("mknod", [join(root, "links/null"), "c", "1", "3"]);
  await execa("mknod", [join(root, "links/disk"), "b", "259", "200"]);
}

async function withIso<T>(image: string, use: (fs: FileSystem) => Promise<T>): Promise<T> {
  const source = openImageSource(image);
  try {
    const driver = await detectFileSystem(source);
    expect(driver?.name).toBe("iso9660");
    return await use(await driver!.open(cached(source)));
  } finally {
    await source.close();
  }
}

async function expectFacts(fs: FileSystem, image: string): Promise<void> {
  const { stdout } = await execa("blkid", ["-p", "-o", "udev", image]);
  const field = (name: string): string | undefined => new RegExp(`^ID_FS_${name}=(.*)$`, "m").exec(stdout)?.[1];
  expect(fs.facts.type).toBe(field("TYPE"));
  expect(fs.facts.uuid).toBe(field("UUID"));
  const label = field("LABEL_ENC")?.replace(/\\x([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
  expect(fs.facts.label).toBe(label);
}

/** ISO 9660 keeps whole seconds; a directory's size is its own; links are counted by whoever writes the image. */
const ignored = new Set(["mtimeNanoseconds", "linkCount"] as const);

function filesOnly(listing: Listing): Listing {
  return new Map([...listing].map(([path, entry]) => [path, { ...entry, size: entry.type === "d" ? 0 : entry.size! }]));
}

/** What genisoimage was given. */
const withoutLongLinks = (): Listing => new Map([...expected].filter(([path]) => !path.startsWith(longLinks)));

const genisoimage = (...options: string[]) => async (image: string): Promise<void> =>
  void (await execa("genisoimage", ["-quiet", "-input-charset", "utf-8", ...options, "-x", join(tree, longLinks), "-o", image, tree], { env: { TZ: "Asia/Kathmandu" } }));
const xorriso = (...options: string[]) => async (image: string): Promise<void> =>
  void (await execa("xorriso", ["-as", "mkisofs", "-quiet", "-input-charset", "utf-8", ...options, "-o", image, tree], { env: { TZ: "America/St_Johns", LC_ALL: "C.UTF-8" } }));

describe("Rock Ridge", () => {
  test.each([
    ["genisoimage", genisoimage("-R", "-V", "PLUCK_TEST")],
    ["genisoimage with Joliet beside it", genisoimage("-R", "-J", "-joliet-long", "-V", "Pluck Test Über")],
    ["genisoimage with rr_moved hidden", genisoimage("-R", "-hide-rr-moved")],
    ["xorriso", xorriso("-R", "-V", "PLUCK")],
    ["xorriso with relocated directories", xorriso("-R", "-rr_reloc_dir", "/rr_moved", "-V", "PLUCK_TEST")],
    ["xorriso with Joliet beside it", xorriso("-R", "-J")],
  ])("shows every name, byte, owner, mode, time and link that was written: %s", async (name, make) => {
    const image = join(folder, `${name}.iso`);
    await make(image);
    await withIso(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      // Where moved directories are kept is a directory of the image itself, which Linux shows too, empty.
      const moved = [...listing.keys()].filter((path) => /^\.?rr_moved/.test(path));
      expect(moved.length).toBeLessThanOrEqual(1);
      for (const path of moved) listing.delete(path);
      const differences = compareListings(filesOnly(name.startsWith("xorriso") ? expected : withoutLongLinks()), filesOnly(listing), { ignore: ignored });
      expect(differences).toEqual([]);
      await expectFacts(fs, image);
    });
  });

  test("has the times to the second wherever the writer's clock stood", async () => {
    const image = join(folder, "zones.iso");
    await genisoimage("-R")(image);
    await withIso(image, async (fs) => {
      const sizes = (await fs.lookup(fs.root, "sizes"))!;
      const file = (await fs.lookup(sizes.node, "of 2048 bytes"))!;
      const details = await fs.details(file.node);
      expect(details.changedAt?.digits).toBe(0);
      expect(details.createdAt).toBeUndefined();
    });
  });

  test("lists a folder and its attributes with a few reads", async () => {
    const image = join(folder, "reads.iso");
    await genisoimage("-R")(image);
    const source = openImageSource(image);
    try {
      const counted = counting(source);
      const fs = await iso9660.open(counted);
      const many = (await fs.lookup(fs.root, "many"))!;
      counted.reset();
      let entries = 0;
      for await (const batch of fs.readDirectory(many.node)) entries += (await fs.stat(batch.map((entry) => entry.node))).length;
      expect(entries).toBe(200);
      expect(counted.reads).toBeLessThanOrEqual(3);
    } finally {
      await source.close();
    }
  });
});

describe("zisofs", () => {
  test("shows compressed files as they were before", async () => {
    const image = join(folder, "zisofs.iso");
    await execa("xorriso", ["-outdev", `stdio:${image}`, "-map", tree, "/", "-set_filter_r", "--zisofs", "/", "--", "-commit"], { env: { LC_ALL: "C.UTF-8" } });
    const { stdout } = await execa("isoinfo", ["-R", "-l", "-i", image]);
    const stored = stdout.split("\n").map((line) => /^-\S+\s+\d+\s+\d+\s+\d+\s+(\d+) .* text\s*$/.exec(line)).find((match) => match !== null);
    expect(Number(stored![1])).toBeLessThan(20_000);
    await withIso(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      expect(compareListings(filesOnly(expected), filesOnly(listing), { ignore: ignored })).toEqual([]);
      const sizes = (await fs.lookup(fs.root, "sizes"))!;
      const zeros = (await fs.lookup(sizes.node, "zeros"))!;
      expect((await fs.extents(zeros.node, 0, 300_000)).map((extent) => extent.kind)).toEqual(expect.arrayContaining(["hole"]));
    });
  });
});

describe("Joliet without Rock Ridge", () => {
  test.each([
    ["genisoimage", genisoimage("-J", "-joliet-long", "-D", "-V", "Zürich 日本")],
    ["xorriso", xorriso("-J", "-joliet-long", "--norock", "-V", "PLUCK")],
  ])("shows names in any script, and files readable for everybody: %s", async (name, make) => {
    const image = join(folder, `joliet ${name}.iso`);
    await make(image);
    await withIso(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      const { stdout } = await execa("isoinfo", ["-d", "-i", image]);
      if (/Rock Ridge signatures version \d\S* found/.test(stdout)) return;
      for (const [path, entry] of expected) {
        // Joliet: 103 characters at most, no link but a file; Linux drops dots at the end; half-width writers replace 🍄.
        if (entry.type !== "f" || path.endsWith(".") || path.includes(textToByteString("🍄"))) continue;
        expect(listing.get(path), path).toMatchObject({ type: "f", size: entry.size, sha256: entry.sha256, mode: 0o555, uid: 0, gid: 0, linkCount: 1 });
      }
      expect(listing.has("names/ends with dot")).toBe(true);
      expect((await fs.lookup((await fs.lookup(fs.root, "NAMES"))!.node, "mixed.TXT.."))?.name).toBe("Mixed.Txt");
      await expectFacts(fs, image);
    });
  });
});

describe("plain ISO 9660", () => {
  test.each([["level 1", ["-iso-level", "1"]], ["level 3", ["-iso-level", "3"]], ["level 2", ["-iso-level", "2"]]])("shows names in lower case and without versions: %s", async (_, options) => {
    const image = join(folder, "plain.iso");
    await genisoimage(...options)(image);
    // bsdtar drops versions, and shows the names as they are written.
    const { stdout } = await execa("bsdtar", ["-tf", image]);
    const names = stdout.split("\n").map((name) => name.replace(/\/$/, "").replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
    await withIso(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      const withoutDot = (name: string): string => name.split("/").map((part) => part.replace(/(?<=.)\.$/, "")).join("/");
      expect([...listing.keys()].filter((path) => path !== "").map(withoutDot).sort()).toEqual(names.filter((name) => name !== ".").map(withoutDot).sort());
      const wanted = [...expected.values()].filter((entry) => entry.type === "f").map((entry) => entry.sha256).sort();
      const found = [...listing.values()].filter((entry: ListingEntry) => entry.type === "f" && entry.size !== 0).map((entry) => entry.sha256);
      expect(found.length).toBeGreaterThan(200);
      for (const hash of found) expect(wanted).toContain(hash);
    });
  });
});

describe("disks that are more than an ISO", () => {
  test("shows the ISO of a hybrid disk beside its partitions", async () => {
    const efi = join(folder, "efi.img");
    await execa("mkfs.vfat", ["-C", efi, "1440"]);
    const image = join(folder, "hybrid.iso");
    await xorriso("-R", "-V", "HYBRID", "--protective-msdos-label", "-append_partition", "2", "0xef", efi)(image);
    const source = openImageSource(image);
    try {
      const volumes = await scanVolumes(cached(source));
      expect(volumes.map((volume) => volume.name)).toEqual(["p1", "p2", "disk"]);
      const disk = volumes.at(-1)!;
      const driver = await detectFileSystem(disk.source!);
      expect(driver?.name).toBe("iso9660");
      const listing = await walkFileSystem(await driver!.open(disk.source!));
      expect(listing.get("names/lower.txt")?.sha256).toBe(expected.get("names/lower.txt")!.sha256);
      expect((await detectFileSystem(volumes[1]!.source!))?.name).toBe("fat");
    } finally {
      await source.close();
    }
  });

  test("shows it once where a partition holds it", async () => {
    const image = join(folder, "partition.iso");
    await xorriso("-R", "-V", "PARTITION", "-partition_offset", "16")(image);
    const source = openImageSource(image);
    try {
      const volumes = await scanVolumes(cached(source));
      expect(volumes.map((volume) => volume.name)).toEqual(["p1"]);
      const driver = await detectFileSystem(volumes[0]!.source!);
      const listing = await walkFileSystem(await driver!.open(volumes[0]!.source!));
      expect(listing.get("sizes/of 400000 bytes")?.sha256).toBe(expected.get("sizes/of 400000 bytes")!.sha256);
    } finally {
      await source.close();
    }
  });

  test("leaves a disk that is UDF as well to UDF, as blkid does", async () => {
    const image = join(folder, "udf.iso");
    await genisoimage("-udf", "-R")(image);
    const { stdout } = await execa("blkid", ["-p", "-o", "value", "-s", "TYPE", image]);
    expect(stdout.trim()).toBe("udf");
    const source = openImageSource(image);
    try {
      expect((await recognise(source))?.type).toBe("udf");
      expect(await detectFileSystem(source)).toBeUndefined();
    } finally {
      await source.close();
    }
  });
});

describe("a cut-off image", () => {
  test("gives what is there, and an error for the rest", async () => {
    const image = join(folder, "cut.iso");
    await genisoimage("-R")(image);
    const handle = await open(image, "r+");
    const { size } = await handle.stat();
    await handle.truncate(Math.floor(size / 2));
    await handle.close();
    await withIso(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      expect(new Set(listing.keys())).toEqual(new Set([...withoutLongLinks().keys(), "rr_moved"]));
      const damaged = [...listing.values()].filter((entry) => entry.error !== undefined);
      expect(damaged.length).toBeGreaterThan(0);
      for (const entry of listing.values()) {
        if (entry.type !== "f") continue;
        if (entry.error === undefined) expect(entry.sha256, entry.path).toBe(expected.get(entry.path)!.sha256);
        else expect(entry.error).toMatch(/^corrupt: .*leaves the volume's/);
      }
    });
  });
});
