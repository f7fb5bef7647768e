import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import type { XfsFileSystem } from "../../agent/filesystems/xfs/filesystem.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeXfsFromTree } from "./protofile.ts";

// Version 4 and what else kernels no longer mount, or refuse by design: mkfs.xfs copies a folder into the image, and
// that folder is what the image must show; xfs_db changes what must be refused.
describe("filesystems filled by mkfs.xfs", () => {
  let folder: string;
  let original: string;
  beforeAll(async () => {
    requireTools("mkfs.xfs", "xfs_db", "getfattr");
    folder = await temporaryFolder();
    original = join(folder, "original");
    makeTree(original);
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  async function withImage(
    options: readonly string[], use: (fs: XfsFileSystem, image: string) => Promise<void>, prepare?: (image: string) => Promise<void>,
  ): Promise<void> {
    const image = join(folder, "image");
    rmSync(image, { force: true });
    writeFileSync(image, "");
    truncateSync(image, 512 * 1024 * 1024);
    await makeXfsFromTree(image, original, options);
    await prepare?.(image);
    const source = openImageSource(image);
    try {
      await use((await xfs.open(cached(source))) as XfsFileSystem, image);
    } finally {
      await source.close();
    }
  }

  test.each([
    ["version 4 as made by default", ["-m", "crc=0"]],
    ["version 4 without file types, 512-byte blocks", ["-m", "crc=0", "-n", "ftype=0", "-b", "size=512"]],
    ["version 4 with 64 KiB blocks", ["-m", "crc=0", "-b", "size=65536"]],
    ["version 4 with directory blocks of 32 KiB, attributes of version 1, projects of 16 bits", ["-m", "crc=0", "-b", "size=1024", "-n", "size=32768", "-i", "attr=1,projid32bit=0"]],
    ["version 4 with a log of version 1 and counters kept up", ["-m", "crc=0", "-l", "version=1,lazy-count=0,size=8m", "-i", "size=256"]],
    ["version 4 that ignores case", ["-m", "crc=0", "-n", "version=ci"]],
  ])("%s", async (_, options) => {
    await withImage(options, async (fs) => {
      const actual = await walkFileSystem(fs);
      const expected = await walkKernelMount(original);
      // Sizes and links of folders, and all times, are the image's own.
      for (const entry of [...expected.values(), ...actual.values()]) {
        if (entry.type === "d") delete entry.size;
        delete entry.mtimeSeconds;
        delete entry.mtimeNanoseconds;
        delete entry.xattrs;
      }
      expect(compareListings(expected, actual, { ignore: new Set(["linkCount"]) })).toEqual([]);
      expect(actual.size).toBeGreaterThan(3000);
      expect(fs.facts.state).toBe("clean");
    });
  });

  test("finds names without regard to case where the filesystem ignores it, and only there", async () => {
    const find = async (fs: XfsFileSystem, name: string) => (await fs.lookup((await fs.lookup(fs.root, "Mixed"))!.node, name))?.name;
    await withImage(["-m", "crc=0", "-n", "version=ci"], async (fs) => {
      expect(await find(fs, "ReadMe.TXT")).toBe("ReadMe.TXT");
      expect(await find(fs, "README.txt")).toBe("ReadMe.TXT");
      expect(await find(fs, "absent")).toBeUndefined();
    });
    await withImage(["-m", "crc=0"], async (fs) => expect(await find(fs, "README.txt")).toBeUndefined());
  });

  const set = (field: string, value: string) => async (image: string) => {
    await execa("xfs_db", ["-x", "-c", "sb 0", "-c", `write -d ${field} ${value}`, image]);
  };

  test.each([
    ["an incompatible feature that it doesn't know", [], set("features_incompat", "0x8000000f"), "0x80000000"],
    ["a filesystem that xfs_repair has not finished", [], set("features_incompat", "0x1f"), "needsrepair"],
    ["a version 4 feature that it doesn't know", ["-m", "crc=0"], set("versionnum", "0xb6a4"), "0x200"],
    ["version 1 directories", ["-m", "crc=0"], set("versionnum", "0x94a4"), "version 1 directories"],
    ["a version that it doesn't know", ["-m", "crc=0"], set("versionnum", "0xb4a6"), "version 6"],
    ["a filesystem that mkfs.xfs has not finished", [], set("inprogress", "1"), "inprogress"],
    ["a log on another device", [], set("logstart", "0"), "external log"],
  ] as const)("refuses %s, by name", async (_, options, prepare, message) => {
    await expect(withImage(options, async () => undefined, prepare)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining(message) });
  });

  test("refuses a filesystem that mkfs.xfs gave a log on another device, by name", async () => {
    const [image, log] = [join(folder, "without-log"), join(folder, "log")];
    for (const path of [image, log]) {
      writeFileSync(path, "");
      truncateSync(path, 64 * 1024 * 1024);
    }
    await execa("mkfs.xfs", ["-q", "-f", "--unsupported", "-l", `logdev=${log},size=10m`, image]);
    const source = openImageSource(image);
    try {
      await expect(xfs.open(cached(source))).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("XFS external log") });
    } finally {
      await source.close();
    }
  });

  test("refuses the contents of a realtime file by name, and shows its attributes", async () => {
    const prepare = async (image: string) => void (await execa("xfs_db", ["-x", "-c", "path /sizes/4097", "-c", "write core.realtime 1", image]));
    await withImage([], async (fs) => {
      const sizes = (await fs.lookup(fs.root, "sizes"))!.node;
      const file = (await fs.lookup(sizes, "4097"))!.node;
      const [attributes] = await fs.stat([file]);
      expect(attributes).toMatchObject({ type: "file", size: 4097, contentError: { code: "unsupported", message: expect.stringContaining("realtime") } });
      await expect((async () => fs.extents(file, 0, 1))()).rejects.toMatchObject({ code: "unsupported" });
    }, prepare);
  });

  test("calls a changed byte damage, everywhere that version 5 checks it", async () => {
    const prepare = async (image: string) => void (await execa("xfs_db", ["-x", "-c", "path /sizes/4097", "-c", "write -c core.uid 77", image]));
    await withImage([], async (fs) => {
      const sizes = (await fs.lookup(fs.root, "sizes"))!.node;
      const [attributes] = await fs.stat([(await fs.lookup(sizes, "4097"))!.node]);
      expect(attributes).toMatchObject({ code: "corrupt", message: expect.stringContaining("checksum") });
    }, prepare);
  });
});

function makeTree(root: string): void {
  const random = new Random(11);
  mkdirSync(join(root, "sizes"), { recursive: true });
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 70_000, 3_000_001]) writeFileSync(join(root, "sizes", `${size}`), random.bytes(size));
  // In the inode, in one block, with a leaf, with nodes.
  for (const count of [1, 5, 30, 150, 2800]) {
    mkdirSync(join(root, `folder-${count}`));
    for (let i = 0; i < count; i++) symlinkSync("t".repeat((i % 40) + 1), join(root, `folder-${count}`, `${"name".repeat(i % 9)}-${i}`));
  }
  for (const length of [1, 155, 156, 157, 335, 336, 337, 500, 1000, 1023]) symlinkSync("l".repeat(length), join(root, `link-${length}`));
  mkdirSync(join(root, "Mixed"));
  writeFileSync(join(root, "Mixed", "ReadMe.TXT"), "mixed");
}
