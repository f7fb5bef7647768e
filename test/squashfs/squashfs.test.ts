import { readFileSync } from "node:fs";
import { chmod, copyFile, link, lchown, lutimes, mkdir, open, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { counting } from "../../agent/blocks/counting.ts";
import type { FileSystem } from "../../agent/filesystems/filesystem.ts";
import { detectFileSystem } from "../../agent/filesystems/registry.ts";
import { squashfs } from "../../agent/filesystems/squashfs/driver.ts";
import { isRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { withLoopMount } from "../tools/loop-mount.ts";
import { Random } from "../tools/random.ts";
import { readContents } from "../tools/read-contents.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";

let folder: string;
let tree: string;
/** What lies in the tree: the oracle, beside the kernel's own mount of the image. */
let packed: Listing;
/** Mounting needs root, and a kernel that has squashfs. */
const canMount = isRoot() && readFileSync("/proc/filesystems", "utf8").includes("\tsquashfs\n");

beforeAll(async () => {
  requireTools("mksquashfs", "unsquashfs", "blkid", "setfattr", "getfattr");
  folder = await temporaryFolder();
  tree = join(folder, "tree");
  await makeTree(tree);
  packed = await walkKernelMount(tree);
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

async function makeTree(root: string): Promise<void> {
  const random = new Random(4096);
  const write = async (path: string, contents: Buffer | string): Promise<void> => {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), contents);
    const seconds = Date.UTC(1970 + random.integer(0, 136), random.integer(0, 1), random.integer(1, 29)) / 1000;
    await lutimes(join(root, path), seconds, seconds);
  };
  const words = Array.from({ length: 500 }, () => random.bytes(random.integer(2, 9)).toString("base64"));
  const text = (length: number): string => {
    let made = "";
    while (made.length < length) made += `${random.pick(words)} `;
    return made.slice(0, length);
  };
  for (const size of [0, 1, 4095, 4096, 4097, 131_071, 131_072, 131_073, 400_000]) {
    await write(`random/of ${size} bytes`, random.bytes(size));
    await write(`text/of ${size} bytes`, text(size));
  }
  await write("text/long", text(700_000));
  await write("text/half", Buffer.concat([random.bytes(150_000), Buffer.from(text(150_000)), Buffer.alloc(300_000), random.bytes(5)]));
  await write("sparse/zeros", Buffer.alloc(1_000_000));
  for (let index = 0; index < 600; index += 1) await write(`many/file number ${index}`, index % 3 === 0 ? "" : `${text(index % 50)}`);
  for (const name of ["x".repeat(255), "Zürich – Übersicht.txt", "日本語", "emoji 🍄", "two  spaces", "\\ backslash", "new\nline"]) await write(`names/${name}`, name);
  await writeFile(Buffer.concat([Buffer.from(join(root, "names/")), Buffer.from([0xff, 0xfe, 0x41])]), "not UTF-8");
  await write("deep/1/2/3/4/5/6/7/8/9/10/11/12/leaf", "leaf");
  await mkdir(join(root, "empty"));
  await mkdir(join(root, "links"));
  for (const [index, target] of ["x", "/", "../names", "y".repeat(4095), "über/日本語"].entries()) await symlink(target, join(root, `links/link ${index}`));
  await link(join(root, "text/long"), join(root, "links/hard"));
  await execa("mkfifo", [join(root, "links/fifo")]);
  await chmod(join(root, "text/long"), 0o4751);
  await chmod(join(root, "many"), 0o1777);
  const attribute = async (path: string, name: string, value: string): Promise<void> => void (await execa("setfattr", ["-h", "-n", name, "-v", value, join(root, path)]));
  await attribute("text/long", "user.comment", "some words");
  await attribute("text/long", "user.empty", "");
  await attribute("many", "user.large", "v".repeat(3000));
  await attribute("names", "user.large", "v".repeat(3000));
  if (!isRoot()) return;
  await lchown(join(root, "text/half"), 1234, 100_000);
  await lchown(join(root, "links/link 0"), 4_000_000_000, 5);
  await attribute("deep", "trusted.of-root", "secret");
  await attribute("links/link 1", "trusted.of-a-link", "target");
  await attribute("text/half", "security.label", "system_u");
  await execa("mknod", [join(root, "links/null"), "c", "1", "3"]);
  await execa("mknod", [join(root, "links/disk"), "b", "259", "70000"]);
  await attribute("links/null", "trusted.of-a-device", "null");
}

async function makeImage(name: string, options: readonly string[], contents = tree): Promise<string> {
  const image = join(folder, `${name.replace(/\W/g, "-")}.squashfs`);
  await execa("mksquashfs", [contents, image, "-noappend", "-no-progress", "-quiet", "-processors", "1", ...options]);
  return image;
}

async function withSquashfs<T>(image: string, use: (fs: FileSystem) => Promise<T>): Promise<T> {
  const source = openImageSource(image);
  try {
    const driver = await detectFileSystem(source);
    expect(driver?.name).toBe("squashfs");
    return await use(await driver!.open(cached(source)));
  } finally {
    await source.close();
  }
}

/** Of a file with 13 bytes in its middle. */
const LARGE_BYTES = 300 * 1024 * 1024;

const variants: readonly (readonly [string, readonly string[]])[] = [
  ["gzip", ["-comp", "gzip"]],
  ["lzo", ["-comp", "lzo"]],
  ["lz4", ["-comp", "lz4"]],
  ["lz4 of high compression", ["-comp", "lz4", "-Xhc"]],
  ["xz", ["-comp", "xz"]],
  ["zstd", ["-comp", "zstd"]],
  ["blocks of 4 KiB", ["-b", "4K"]],
  ["blocks of 1 MiB", ["-b", "1M", "-comp", "zstd"]],
  ["nothing compressed", ["-noI", "-noD", "-noF", "-noX", "-noId"]],
  ["no fragments", ["-no-fragments"]],
  ["all ends in fragments", ["-always-use-fragments", "-no-exports"]],
  ["no holes", ["-no-sparse", "-no-duplicates"]],
];

describe("squashfs made by mksquashfs", () => {
  test.each(variants)("shows the names, bytes and attributes that were packed, and that the kernel shows: %s", async (name, options) => {
    const image = await makeImage(name, options);
    await withSquashfs(image, async (fs) => {
      const listing = await walkFileSystem(fs);
      // Times lose their fractions, and directories have sizes of their own.
      const withoutSizes = (given: Listing): Listing => new Map([...given].map(([path, entry]) => [path, entry.type === "d" ? { ...entry, size: 0 } : entry]));
      expect(compareListings(withoutSizes(packed), withoutSizes(listing), { ignore: new Set(["mtimeNanoseconds"]) })).toEqual([]);
      expect(fs.facts).toMatchObject({ type: "squashfs", label: undefined, uuid: undefined, state: "clean" });
      if (!canMount) return;
      const mounted = await withLoopMount(image, { type: "squashfs" }, async (directory) => await walkKernelMount(directory));
      expect(compareListings(mounted, listing)).toEqual([]);
    });
    await rm(image);
  });

  test("gives one id to the names of a file, and another to every other file", async () => {
    const image = await makeImage("ids", []);
    await withSquashfs(image, async (fs) => {
      const find = async (folderName: string, name: string): Promise<unknown> => (await fs.lookup((await fs.lookup(fs.root, folderName))!.node, name))!.node;
      const found = await fs.stat([await find("text", "long"), await find("links", "hard"), await find("text", "half")]);
      const [first, second, third] = found.map((attributes) => (attributes as { id: number }).id);
      expect(first).toBe(second);
      expect(first).not.toBe(third);
    });
  });

  test("calls holes holes, and says which bytes lie where they are", async () => {
    const contents = join(folder, "holes");
    await mkdir(contents);
    await writeFile(join(contents, "large"), "");
    await truncate(join(contents, "large"), LARGE_BYTES);
    const handle = await open(join(contents, "large"), "r+");
    await handle.write("in the middle", LARGE_BYTES / 2);
    await handle.close();
    const image = await makeImage("extents", ["-noD", "-no-fragments"], contents);
    await withSquashfs(image, async (fs) => {
      const { node } = (await fs.lookup(fs.root, "large"))!;
      const kinds: string[] = [];
      for (let at = 0; at < LARGE_BYTES; ) {
        for (const extent of await fs.extents(node, at, LARGE_BYTES - at)) {
          if (kinds.at(-1) !== extent.kind) kinds.push(extent.kind);
          at = extent.offset + extent.length;
        }
      }
      expect(kinds).toEqual(["hole", "data", "hole"]);
      const block = await readContents(fs, node, LARGE_BYTES / 2 - 5, 30);
      expect(block.toString()).toBe(`${"\0".repeat(5)}in the middle${"\0".repeat(12)}`);
    });
  });

  test("lists a folder with its attributes in few reads", async () => {
    const image = await makeImage("reads", []);
    const source = openImageSource(image);
    try {
      const counted = counting(source);
      const fs = await squashfs.open(cached(counted));
      const many = (await fs.lookup(fs.root, "many"))!;
      counted.reset();
      let entries = 0;
      for await (const batch of fs.readDirectory(many.node)) entries += (await fs.stat(batch.map((entry) => entry.node))).length;
      expect(entries).toBe(600);
      expect(counted.reads).toBeLessThanOrEqual(4);
    } finally {
      await source.close();
    }
  });

  test("names the compression that Linux doesn't read either", async () => {
    const image = await makeImage("lzma", ["-comp", "lzma"], join(tree, "names"));
    await expect(withSquashfs(image, async () => undefined)).rejects.toMatchObject({ code: "unsupported", message: "squashfs compression lzma" });
  });

  test("names the xz filter that it doesn't read", async () => {
    const contents = join(folder, "code");
    await mkdir(contents);
    await copyFile("/bin/bash", join(contents, "program"));
    const image = await makeImage("filter", ["-comp", "xz", "-Xbcj", "x86"], contents);
    await withSquashfs(image, async (fs) => {
      expect((await walkFileSystem(fs)).get("program")?.error).toBe("unsupported: xz filter x86");
    });
  });

  test("refuses an image that is cut off", async () => {
    const image = await makeImage("cut", []);
    const handle = await open(image, "r+");
    const { size } = await handle.stat();
    await handle.truncate(size - 8192);
    await handle.close();
    await expect(withSquashfs(image, async () => undefined)).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("bytes used of a volume of") });
  });
});
