import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { detectFileSystem } from "../../agent/filesystems/registry.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import { hasTool, temporaryFolder } from "../tools/environment.ts";
import { readExpectedListing } from "../tools/expected-listing.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { noSharedImages, rawFromQcow2, sharedImages, sharedImagesPath } from "../tools/shared-images.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";

const images = sharedImages("lvm");

describe.skipIf(sharedImagesPath === undefined)(`groups that others made${sharedImagesPath === undefined ? ` (${noSharedImages})` : ""}`, () => {
  for (const image of images) {
    for (const [volumeName, listing] of image.expected) {
      test(`${image.name}: ${volumeName} is shown as Linux shows it`, async ({ skip }) => {
        const source = openImageSource(await rawFromQcow2(image.qcow2Path));
        try {
          const volume = (await scanVolumes(cached(source))).find((one) => one.name === volumeName);
          expect(volume?.source, volume?.error?.message).toBeDefined();
          const driver = await detectFileSystem(volume!.source!);
          skip(driver === undefined, "no reader for this filesystem yet");
          const expected = readExpectedListing(listing);
          const found = await walkFileSystem(await driver!.open(volume!.source!));
          const names = (paths: Iterable<string>): string[] => [...paths].sort();
          // Owners, modes and times of FAT and NTFS depend on mount options; names and contents don't.
          if (expected.fileSystem.startsWith("ext")) expect(compareListings(expected.listing, found)).toEqual([]);
          else {
            const own = new Map([...found].filter(([path]) => path !== "" && (expected.listing.has(path) || !path.startsWith("$"))));
            expect(names(own.keys())).toEqual(names(expected.listing.keys()));
            for (const [path, entry] of expected.listing) if (entry.sha256 !== undefined) expect(found.get(path)?.sha256, path).toBe(entry.sha256);
          }
        } finally {
          await source.close();
        }
      });
    }
  }
});

describe.skipIf(!hasTool("grub-mount") || sharedImagesPath === undefined)("GRUB's own reader as a second opinion", () => {
  test("sees the same groups' names and files", async () => {
    const folder = await temporaryFolder();
    try {
      await mkdir(join(folder, "mount"));
      const { stdout } = await execa("grub-fstest", [await rawFromQcow2(images[0]!.qcow2Path), "ls", "(lvm/test_volume_group-test_logical_volume1)/"], { reject: false });
      expect(stdout).toMatch(/lost\+found\/.*passwords\.txt|passwords\.txt.*lost\+found\//);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
