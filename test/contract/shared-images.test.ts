import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import type { ClosableBlockSource } from "../../agent/blocks/block-source.ts";
import { detectFileSystem } from "../../agent/filesystems/registry.ts";
import { recognise } from "../../agent/filesystems/recognise.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import type { Volume } from "../../agent/volumes/volume.ts";
import { readExpectedListing } from "../tools/expected-listing.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { noSharedImages, rawFromQcow2, sharedImages, sharedImagesPath, type SharedImage } from "../tools/shared-images.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { knownDifferences, readableWithoutListing, refusedImages, unreadVolumes } from "./shared-image-findings.ts";

const kinds = ["btrfs", "btrfs-corrupt", "ext4", "ext4-corrupt", "fat", "iso9660", "pt", "qcow2", "xfs"];

describe("images that others wrote", () => {
  if (sharedImagesPath === undefined) test.skip(noSharedImages, () => undefined);

  for (const image of kinds.flatMap((kind) => sharedImages(kind))) {
    for (const [key, listingPath] of image.expected) {
      const name = key === "" ? image.name : `${image.name} ${key}`;
      if (unreadVolumes.has(name)) {
        test(`${name} is named, not read: ${unreadVolumes.get(name)}`, async () => await expectUnread(image, key));
        continue;
      }
      test(`${name} shows what its independent reader shows`, async () => {
        await withVolume(image, key, async (volume) => {
          const expected = readExpectedListing(listingPath);
          const found = await walkFileSystem(await openVolume(volume));
          const known = knownDifferences.get(name) ?? [];
          const except = (path: string): boolean => expected.repeated.includes(path) || known.some(({ paths }) => paths.test(path));
          expect(compareListings(expected.listing, found, { except })).toEqual([]);
          for (const { paths } of known) expect([...found.keys(), ...expected.listing.keys()].some((path) => paths.test(path)), `${paths} is about nothing`).toBe(true);
        });
      });
    }
    if (image.expected.size > 0 || image.name.startsWith("pt/")) continue;
    if (readableWithoutListing.has(image.name)) {
      test(`${image.name} is survived: ${readableWithoutListing.get(image.name)}`, async () => {
        await withVolume(image, "", async (volume) => void (await walkFileSystem(await openVolume(volume))));
      });
      continue;
    }
    test(`${image.name} is refused, with the reason`, async () => {
      const reason = refusedImages.get(image.name);
      expect(reason, "an image without a listing that shared-image-findings.ts doesn't speak of").toBeDefined();
      await withVolume(image, "", async (volume) => {
        await expect(openVolume(volume)).rejects.toMatchObject({ message: expect.stringContaining(reason!) });
      });
    });
  }
});

async function withVolume(image: SharedImage, key: string, use: (volume: Volume) => Promise<void>): Promise<void> {
  const source: ClosableBlockSource = openImageSource(await rawFromQcow2(image.qcow2Path));
  try {
    const name = key === "" ? "disk" : key;
    const volume = (await scanVolumes(cached(source))).find((candidate) => candidate.name === name);
    if (volume === undefined) throw new Error(`no volume ${name}`);
    await use(volume);
  } finally {
    await source.close();
  }
}

async function openVolume(volume: Volume) {
  if (volume.source === undefined) throw volume.error;
  const driver = await detectFileSystem(volume.source);
  if (driver === undefined) throw new Error(`no reader for ${(await recognise(volume.source))?.type}`);
  return await driver.open(volume.source);
}

async function expectUnread(image: SharedImage, key: string): Promise<void> {
  const source = openImageSource(await rawFromQcow2(image.qcow2Path));
  try {
    const volumes = await scanVolumes(cached(source));
    const volume = volumes.find((candidate) => candidate.name === (key === "" ? "disk" : key));
    if (volume?.source !== undefined) expect(await detectFileSystem(volume.source)).toBeUndefined();
    expect(volumes.length).toBeGreaterThan(0);
  } finally {
    await source.close();
  }
}
