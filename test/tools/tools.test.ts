import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { ContentHash, plainHashLimitBytes } from "./content-hash.ts";
import { describeAsRoot, requireTools } from "./environment.ts";
import { readExpectedListing } from "./expected-listing.ts";
import { compareListings, type Listing } from "./listing.ts";
import { withLoopMount } from "./loop-mount.ts";
import { mutateImage, nonZeroSectors } from "./mutate-image.ts";
import { Random } from "./random.ts";
import { noSharedImages, rawFromQcow2, sharedImages, sharedImagesPath } from "./shared-images.ts";
import { walkKernelMount } from "./walk-kernel-mount.ts";

/** The tools themselves, held to something that isn't ours: other tests believe them. */

describeAsRoot("the walk of a kernel mount", () => {
  beforeAll(() => requireTools("losetup", "getfattr", "qemu-img"));
  if (sharedImagesPath === undefined) test.skip(noSharedImages, () => undefined);
  // Clean volumes on which every kernel agrees; view_ext2 has a file large enough for the non-zero hash.
  const names = ["ext4/view_ext2", "ext4/dsoprea_tiny", "ext4/e2_f_valid_ea_in_inode", "ext4/e2_f_bigalloc_symlink_with_xattr", "ext4/syz_ext4_08", "qcow2/e2_i_qcow_1024"];
  for (const image of ["ext4", "qcow2"].flatMap((kind) => sharedImages(kind)).filter((candidate) => names.includes(candidate.name))) {
    test(`sees what the stored listing of ${image.name} says`, async () => {
      const { listing } = readExpectedListing(image.expected.get("")!);
      const raw = await rawFromQcow2(image.qcow2Path);
      const found = await withLoopMount(raw, { type: "ext4", options: "noload" }, async (directory) => await walkKernelMount(directory));
      expect(compareListings(listing, found)).toEqual([]);
    });
  }

  test("detaches and unmounts also when its user fails", async () => {
    const [image] = sharedImages("ext4").filter((candidate) => candidate.name === "ext4/dsoprea_tiny");
    if (image === undefined) return;
    const raw = await rawFromQcow2(image.qcow2Path);
    let mounted = "";
    const failing = withLoopMount(raw, { type: "ext4" }, async (directory) => {
      mounted = directory;
      throw new Error("on purpose");
    });
    await expect(failing).rejects.toThrow("on purpose");
    await expect(walkKernelMount(mounted)).resolves.toMatchObject(new Map([["", { error: "ENOENT" }]]));
  });
});

describe("the comparison of listings", () => {
  const base = (): Listing => new Map([["a", { path: "a", type: "f", size: 1, sha256: "x" }], ["b", { path: "b", type: "d" }]]);

  test("finds nothing between equals, and what the oracle doesn't say", () => {
    const found = base();
    found.get("b")!.mode = 0o755;
    expect(compareListings(base(), found)).toEqual([]);
  });

  test("finds missing, additional and different entries, and errors on either side", () => {
    const found = base();
    found.delete("b");
    found.set("c", { path: "c", type: "f" });
    found.get("a")!.size = 2;
    expect(compareListings(base(), found)).toEqual(['"a": size expected 1, found 2', '"b": missing (expected d)', '"c": not expected (found f)']);
    const failed = base();
    failed.get("a")!.error = "corrupt";
    expect(compareListings(base(), failed)).toEqual(['"a": unexpected error: corrupt']);
    expect(compareListings(failed, base())).toEqual(['"a": expected the error corrupt, found none']);
  });

  test("finds extended attributes that the oracle doesn't have", () => {
    const found = base();
    found.get("a")!.xattrs = { "user.x": "AA==" };
    expect(compareListings(base(), found)).toHaveLength(1);
  });
});

describe("the hash of contents", () => {
  test("is plain SHA-256 up to the limit, however the bytes come", () => {
    const bytes = new Random(1).bytes(10_000);
    const hash = new ContentHash(bytes.length + 5000);
    hash.update(bytes.subarray(0, 3));
    hash.update(bytes.subarray(3));
    hash.zeros(5000);
    expect(hash.digest()).toEqual({ sha256: createHash("sha256").update(bytes).update(Buffer.alloc(5000)).digest("hex") });
  });

  test("is the same above the limit whether zeros are read or skipped", () => {
    const bytes = new Random(2).bytes(9_999);
    const read = new ContentHash(plainHashLimitBytes + 1);
    read.update(Buffer.concat([bytes, Buffer.alloc(50_001), bytes]));
    const skipped = new ContentHash(plainHashLimitBytes + 1);
    skipped.update(bytes);
    skipped.zeros(50_001);
    skipped.update(bytes);
    expect(skipped.digest()).toEqual(read.digest());
  });
});

test("a mutation changes the image, repeats by its seed, and undoes itself", () => {
  const original = new Random(3).bytes(64 * 512);
  const sectors = nonZeroSectors(original);
  expect(sectors).toHaveLength(64);
  for (let seed = 0; seed < 200; seed += 1) {
    const image = Buffer.from(original);
    const { description, undo } = mutateImage(image, sectors, new Random(seed));
    expect(mutateImage(Buffer.from(original), sectors, new Random(seed)).description).toBe(description);
    undo();
    expect(image.equals(original), description).toBe(true);
  }
});
