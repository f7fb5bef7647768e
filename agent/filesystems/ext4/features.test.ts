import { expect, test } from "vitest";
import { assertFeaturesReadable, compat, fileSystemType, incompat, roCompat } from "./features.ts";

test.each([
  ["compression", incompat.compression, /compression/],
  ["a bit nobody has named yet", 0x80000000, /incompat 0x80000000/],
  ["several, each by its name", incompat.compression | 0x40000000, /compression, incompat 0x40000000/],
])("refuses %s", (_, features, message) => {
  expect(() => assertFeaturesReadable(features)).toThrow(message);
});

test("reads every incompatible feature that Linux mounts", () => {
  // EXT4_FEATURE_INCOMPAT_SUPP of Linux: filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, csum_seed,
  // largedir, inline_data, encrypt, casefold.
  expect(() => assertFeaturesReadable(0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000)).not.toThrow();
});

test.each([
  ["ext2", 0, incompat.filetype, roCompat.sparseSuper | roCompat.largeFile],
  ["ext3", compat.hasJournal, incompat.filetype, roCompat.sparseSuper],
  ["ext3", compat.hasJournal, incompat.filetype | incompat.recover, 0],
  ["ext4", compat.hasJournal, incompat.filetype | incompat.extents, 0],
  ["ext4", 0, incompat.extents, 0],
  ["ext4", compat.hasJournal, incompat.filetype, roCompat.metadataCsum],
])("is %s by its features, case %#", (type, compatible, incompatible, readOnly) => {
  expect(fileSystemType({ compat: compatible, incompat: incompatible, roCompat: readOnly })).toBe(type);
});
