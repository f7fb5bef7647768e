import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { DiskError, type DiskErrorCode } from "../../agent/blocks/disk-error.ts";
import { ext4 } from "../../agent/filesystems/ext4/driver.ts";
import { readExpectedListing } from "../tools/expected-listing.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings } from "../tools/listing.ts";
import { noSharedImages, rawFromQcow2, sharedImages, sharedImagesPath } from "../tools/shared-images.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";

/** Images that Linux refuses to mount, and why the reader does. */
const refused: Readonly<Record<string, { code: DiskErrorCode; message: RegExp }>> = {
  "ext4/e2_f_ext_journal.journal": { code: "unsupported", message: /journal device/ },
  "ext4-corrupt/e2_f_desc_size_zero": { code: "corrupt", message: /s_desc_size 0/ },
  "ext4-corrupt/e2_f_first_meta_bg_too_big": { code: "corrupt", message: /s_first_meta_bg 2/ },
  "ext4-corrupt/e2_f_noroot": { code: "corrupt", message: /inode 2 .*deleted/ },
  "ext4-corrupt/e2_f_sb_extra_isize": { code: "corrupt", message: /s_want_extra_isize 1024/ },
  "ext4-corrupt/e2_f_zero_inode_size": { code: "corrupt", message: /s_inode_size 0/ },
  "ext4-corrupt/e2_j_corrupt_journal_block": { code: "corrupt", message: /checksum of the logged block 1090/ },
  "ext4-corrupt/e2_j_corrupt_revoke_rcount": { code: "corrupt", message: /r_count 65535/ },
  "ext4-corrupt/e2_j_corrupt_sb_csum": { code: "corrupt", message: /jbd2 superblock .*checksum/ },
  "ext4-corrupt/e2_j_corrupt_sb_magic": { code: "corrupt", message: /jbd2 superblock .*magic/ },
};

/**
 * Where the reader differs from the stored listing, line by line, and why it is right. Those listings
 * come from Linux 6.1 for the corrupt images, whose checks later kernels sharpened.
 */
const differences: Readonly<Record<string, { reason: string; lines: readonly RegExp[] }>> = {
  "ext4/e2_f_dup_de_crypt": {
    reason: "two entries have one name; the walk keeps the second, the listing the first",
    lines: [/^"test\/UPqFuL3s.*mtimeSeconds/],
  },
  "ext4/e2_f_ea_inode": {
    reason: "an attribute that can't be read is an error; the listing leaves it out in silence",
    lines: [/^"(bad-hash-flag-not-set|bad-hash-flag-set|valid-hash-flag-not-set)": unexpected error: corrupt/],
  },
  "ext4/e2_f_verity": {
    reason: "the oracle's kernel was built without fs-verity; the contents don't depend on it",
    lines: [/^"file": expected the error ENOTSUP/],
  },
  "ext4-corrupt/e2_f_bad_fname": {
    reason: "Linux lists nothing of a strict casefold directory with one invalid name; the names are there",
    lines: [/^"ci_dir": expected the error EUCLEAN/, /^"ci_dir\/A.": not expected/],
  },
  "ext4-corrupt/e2_f_baddir": {
    reason: "damaged entries and blocks are listed with their error; the oracle passes over them, and doesn't enter a link to the root",
    lines: [/^"(foo_bar|test\/badino|test\/dot|test\/root\/.*|block.h\/#damaged-directory-block-0)": not expected/],
  },
  "ext4-corrupt/e2_f_badsymlinks": {
    reason: "later kernels refuse a fast symlink of impossible length (tried on Linux 6.18)",
    lines: [/^"(bad_fastlink_size|empty_fastlink)": unexpected error: corrupt/],
  },
  "ext4-corrupt/e2_f_badsymlinks2": {
    reason: "likewise; and the targets of encrypted links are not readable without the key, so their size is that on the disk",
    lines: [/\/(empty|fast_isize_too_large)": unexpected error: corrupt/, /^"\w*encrypted\/.*(unexpected error: unsupported: ext4 fscrypt|size expected)/],
  },
  "ext4-corrupt/e2_f_short_encrypted_dirent": {
    reason: "a name shorter than any ciphertext is listed with its error",
    lines: [/^"get_shorty\/.*": not expected/],
  },
};

const images = ["ext4", "ext4-corrupt", "qcow2"].flatMap(sharedImages).filter((image) => !image.name.startsWith("qcow2/") || image.name.startsWith("qcow2/e2_"));

describe.skipIf(sharedImagesPath === undefined)(`images that others wrote${sharedImagesPath === undefined ? ` (${noSharedImages})` : ""}`, () => {
  for (const image of images) {
    const reason = refused[image.name];
    test(`${image.name} is ${reason === undefined ? "shown as Linux shows it" : "refused as Linux refuses it"}`, async () => {
      const source = openImageSource(await rawFromQcow2(image.qcow2Path));
      try {
        if (reason !== undefined) {
          const error = await ext4.open(cached(source)).then(() => undefined, (thrown: unknown) => thrown);
          expect(error).toBeInstanceOf(DiskError);
          expect((error as DiskError).code).toBe(reason.code);
          expect((error as DiskError).message).toMatch(reason.message);
          return;
        }
        const expected = readExpectedListing(image.expected.get("")!);
        const fs = await ext4.open(cached(source));
        const found = compareListings(expected.listing, await walkFileSystem(fs), { limit: 1000 });
        const known = differences[image.name]?.lines ?? [];
        expect(found.filter((line) => !known.some((pattern) => pattern.test(line)))).toEqual([]);
        for (const pattern of known) expect(found.some((line) => pattern.test(line)), `${pattern} still differs`).toBe(true);
      } finally {
        await source.close();
      }
    });
  }
});
