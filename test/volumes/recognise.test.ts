import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { recognise } from "../../agent/filesystems/recognise.ts";
import { fileSystemDrivers, detectFileSystem } from "../../agent/filesystems/registry.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import { requireTools } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { noSharedImages, rawFromQcow2, sharedImages, sharedImagesPath } from "../tools/shared-images.ts";

const kinds = ["bitlocker", "btrfs", "exfat", "ext4", "fat", "iso9660", "luks", "lvm", "mdraid", "ntfs", "pt", "qcow2", "xfs"];

/** Where blkid and we name a volume differently, and why. */
const differences: Record<string, string> = {
  "fat/syz_vfat_14": "blkid finds nothing in it, but Linux mounts it as vfat: its listing was made so",
  "pt/ul_dos_bsd": "a BSD disklabel is a partition table (PTTYPE) to blkid, not a TYPE",
};

/** What blkid says of a range of an image; undefined when it finds nothing or more than one thing. */
async function blkidType(image: string, offset: number, size: number): Promise<string | undefined> {
  const { stdout } = await execa("blkid", ["-p", "-O", String(offset), "-S", String(size), "-o", "value", "-s", "TYPE", image], { reject: false });
  return stdout.trim() === "" ? undefined : stdout.trim();
}

describe("volumes of every kind are named as blkid names them", () => {
  beforeAll(() => requireTools("blkid"));
  if (sharedImagesPath === undefined) test.skip(noSharedImages, () => undefined);

  for (const image of kinds.flatMap((kind) => sharedImages(kind))) {
    test(image.name, async () => {
      const path = await rawFromQcow2(image.qcow2Path);
      const source = openImageSource(path);
      try {
        for (const volume of await scanVolumes(source)) {
          if (volume.source === undefined) continue;
          // blkid is asked at a place in the image; what is put together out of members has none.
          if (volume.kind === "logical-volume" || volume.kind === "array") continue;
          const expected = await blkidType(path, volume.partition?.startBytes ?? 0, volume.sizeBytes);
          const found = (await recognise(volume.source))?.type;
          if (differences[image.name] === undefined) expect(found, volume.name).toBe(expected);
          else expect(found, `${image.name} no longer differs`).not.toBe(expected);
          const driver = await detectFileSystem(volume.source);
          if (driver !== undefined) expect(fileSystemDrivers).toContain(driver);
        }
      } finally {
        await source.close();
      }
    });
  }
});
