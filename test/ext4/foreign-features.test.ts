import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { ext4 } from "../../agent/filesystems/ext4/driver.ts";
import { textToByteString } from "../../agent/filesystems/byte-string.ts";
import type { FileSystem } from "../../agent/filesystems/filesystem.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";

// Feature sets that not every kernel mounts (blocks larger than a page, casefold without Unicode tables):
// mke2fs copies a folder into the image, and that folder is what the image must show.
describe("filesystems filled by mke2fs", () => {
  let folder: string;
  let original: string;
  beforeAll(async () => {
    requireTools("mke2fs", "debugfs", "getfattr");
    folder = await temporaryFolder();
    original = join(folder, "original");
    makeTree(original);
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  async function withImage(options: readonly string[], use: (fs: FileSystem<number>, image: string) => Promise<void>, prepare?: (image: string) => Promise<void>): Promise<void> {
    const image = join(folder, "image");
    rmSync(image, { force: true });
    await execa("mke2fs", ["-q", "-F", "-t", "ext4", ...options, "-d", original, image, "64M"]);
    await prepare?.(image);
    const source = openImageSource(image);
    try {
      await use((await ext4.open(cached(source))) as FileSystem<number>, image);
    } finally {
      await source.close();
    }
  }

  test.each([
    ["64 KiB blocks", ["-b", "65536"]],
    ["16 KiB blocks, without checksums", ["-b", "16384", "-O", "^metadata_csum"]],
    ["8 KiB blocks with bigalloc", ["-b", "8192", "-O", "bigalloc", "-C", "131072"]],
    ["casefold", ["-O", "casefold", "-E", "encoding=utf8"]],
  ])("%s", async (_, options) => {
    await withImage(options, async (fs) => {
      const actual = await walkFileSystem(fs);
      actual.delete("lost+found");
      const expected = await walkKernelMount(original);
      // Folder sizes and link counts, and all that the copy's own file system adds, are the image's own.
      for (const entry of [...expected.values(), ...actual.values()]) {
        if (entry.type === "d") delete entry.size;
        delete entry.mtimeNanoseconds;
        delete entry.xattrs;
      }
      expected.delete("");
      actual.delete("");
      expect(compareListings(expected, actual, { ignore: new Set(["linkCount"]) })).toEqual([]);
      expect(actual.size).toBeGreaterThan(400);
    });
  });

  test("finds names without regard to case in a casefold directory, and only there", async () => {
    const prepare = async (image: string) => {
      await execa("debugfs", ["-w", "-R", "set_inode_field /Mixed flags 0x40080000", image]);
    };
    await withImage(["-O", "casefold", "-E", "encoding=utf8"], async (fs) => {
      const mixed = (await fs.lookup(fs.root, "Mixed"))!.node;
      const find = async (directory: number, name: string) => (await fs.lookup(directory, textToByteString(name)))?.name;
      expect(await find(mixed, "ReadMe.TXT")).toBe("ReadMe.TXT");
      expect(await find(mixed, "README.txt")).toBe("ReadMe.TXT");
      expect(await find(mixed, "GRÖSSE")).toBe(textToByteString("Größe"));
      expect(await find(mixed, "absent")).toBeUndefined();
      expect(await find(fs.root, "mixed")).toBeUndefined();
    }, prepare);
  });

  test("refuses an incompatible feature that it doesn't know, by name", async () => {
    const prepare = async (image: string) => void (await execa("debugfs", ["-w", "-R", "feature FEATURE_I31", image]));
    await expect(withImage([], async () => undefined, prepare)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("0x80000000") });
  });

  test("refuses a filesystem that needs a journal from another device", async () => {
    const journal = join(folder, "journal");
    await execa("mke2fs", ["-q", "-F", "-O", "journal_dev", "-b", "4096", journal, "8M"]);
    const opened = openImageSource(journal);
    await expect(ext4.open(opened)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("journal device") });
    await opened.close();
    // The fields are set by hand: mke2fs takes an external journal only from a block device.
    const prepare = async (image: string) => {
      await execa("debugfs", ["-w", "-R", "feature has_journal needs_recovery", image]);
      await execa("debugfs", ["-w", "-R", "ssv journal_inum 0", image]);
    };
    await expect(withImage(["-O", "^has_journal"], async () => undefined, prepare)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("external journal") });
  });
});

function makeTree(root: string): void {
  const random = new Random(3);
  mkdirSync(join(root, "Mixed"), { recursive: true });
  writeFileSync(join(root, "Mixed", "ReadMe.TXT"), "read me");
  writeFileSync(join(root, "Mixed", "Größe"), "size");
  mkdirSync(join(root, "many"));
  for (let i = 0; i < 400; i++) writeFileSync(join(root, "many", `file ${i} ${"y".repeat(i % 100)}`), `${i}`);
  for (const size of [0, 1, 100, 65_535, 65_536, 65_537, 3_000_000]) writeFileSync(join(root, `of-${size}`), random.bytes(size));
  symlinkSync("short", join(root, "short-link"));
  symlinkSync("l".repeat(500), join(root, "long-link"));
}
