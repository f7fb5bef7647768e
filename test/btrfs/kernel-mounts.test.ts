import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { btrfs } from "../../agent/filesystems/btrfs/driver.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeBtrfs, withBtrfsMount } from "./mount.ts";
import { populateBtrfs } from "./populate.ts";

interface Variant {
  readonly name: string;
  readonly arguments: readonly string[];
  readonly mount?: string;
  readonly nodeBytes?: number;
  readonly megabytes?: number;
}

const variants: readonly Variant[] = [
  { name: "as made by default", arguments: [] },
  { name: "xxhash64, zlib, 4 KiB nodes", arguments: ["--csum", "xxhash", "-n", "4096"], mount: "compress-force=zlib", nodeBytes: 4096 },
  { name: "sha256, lzo, 64 KiB nodes", arguments: ["--csum", "sha256", "-n", "65536", "-m", "single"], mount: "compress-force=lzo", nodeBytes: 65_536 },
  { name: "blake2b, zstd, 32 KiB nodes", arguments: ["--csum", "blake2", "-n", "32768", "-d", "dup", "-m", "dup"], mount: "compress-force=zstd", nodeBytes: 32_768, megabytes: 400 },
  { name: "mixed block groups, lzo where it helps", arguments: ["--mixed", "-n", "4096"], mount: "compress=lzo", nodeBytes: 4096 },
  { name: "holes stored, references as of old", arguments: ["-O", "^no-holes,^skinny-metadata", "-R", "^free-space-tree"], mount: "compress=zstd" },
  { name: "with quotas", arguments: ["-R", "quota"] },
  { name: "without checksums of data, inline up to 4 KiB", arguments: [], mount: "nodatasum,max_inline=4096" },
];

// What Linux wrote, the reader shows as Linux shows it: every name, attribute, target and byte.
describeAsRoot("btrfs as Linux mounts it", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.btrfs", "btrfs", "losetup", "setfattr", "getfattr", "setfacl", "fallocate", "chattr", "blkid");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  for (const [index, variant] of variants.entries()) {
    test(variant.name, async () => {
      const image = join(folder, `${index}.img`);
      await makeBtrfs([image], ["-L", "pluck test", ...variant.arguments], variant.megabytes);
      const mount = variant.mount === undefined ? {} : { options: variant.mount };
      await withBtrfsMount([image], { readOnly: false, ...mount }, (directory) => populateBtrfs(directory, { nodeBytes: variant.nodeBytes ?? 16_384 }));
      const expected = await withBtrfsMount([image], {}, (directory) => walkKernelMount(directory));
      const source = openImageSource(image);
      try {
        const fs = await btrfs.open(cached(source));
        const found = await walkFileSystem(fs);
        for (const path of emptySubvolumes) delete expected.get(path)!.mtimeSeconds;
        for (const path of emptySubvolumes) delete expected.get(path)!.mtimeNanoseconds;
        expect(compareListings(expected, found)).toEqual([]);
        expect(found.size).toBeGreaterThan(1800);
        const { stdout } = await execa("blkid", ["-p", "-s", "UUID", "-o", "value", image]);
        expect(fs.facts).toMatchObject({ type: "btrfs", label: "pluck test", uuid: stdout.trim(), state: "clean" });
      } finally {
        await source.close();
        await rm(image, { force: true });
      }
    });
  }
});

/** Linux makes up the time of a snapshot's entry of a subvolume that it doesn't hold. */
const emptySubvolumes = ["snapshot/folder/nested", "read-only snapshot/folder/nested"];
