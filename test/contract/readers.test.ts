import { describe } from "vitest";
import { rawFromQcow2, sharedImages } from "../tools/shared-images.ts";
import { describeFileSystemContract } from "./file-system-contract.ts";
import { madeImages } from "./made-images.ts";

describe("readers on images made here", () => {
  for (const [name, make] of madeImages) describeFileSystemContract(name, make);
});

/** Refused as a whole by Linux and by the reader: shared-images.test.ts holds them to that. */
const refused = new Set([
  "btrfs-corrupt/bp_fuzz_bad-superblock-1",
  "btrfs-corrupt/bp_fuzz_bko-104131-fsck-oob-read",
  "btrfs-corrupt/bp_fuzz_bko-154021-invalid-drop-level",
  "btrfs-corrupt/bp_fuzz_bko-161811",
  "btrfs-corrupt/bp_fuzz_bko-166361-blocksize-zero",
  "btrfs-corrupt/bp_fuzz_bko-169301-1-blocksize-zero",
  "btrfs-corrupt/bp_fuzz_bko-199833-reloc-recovery-crash",
  "btrfs-corrupt/bp_fuzz_bko-200409",
  "btrfs-corrupt/bp_fuzz_bko-97041-invalid-sub-stripes-zero-FPE",
  "btrfs-corrupt/bp_fuzz_sys-array-num-stripes-0",
  "ext4/e2_f_ext_journal.journal",
  "ext4-corrupt/e2_f_desc_size_zero",
  "ext4-corrupt/e2_f_first_meta_bg_too_big",
  "ext4-corrupt/e2_f_noroot",
  "ext4-corrupt/e2_f_sb_extra_isize",
  "ext4-corrupt/e2_f_zero_inode_size",
  "ext4-corrupt/e2_j_corrupt_journal_block",
  "ext4-corrupt/e2_j_corrupt_revoke_rcount",
  "ext4-corrupt/e2_j_corrupt_sb_csum",
  "ext4-corrupt/e2_j_corrupt_sb_magic",
  "xfs/ul_xfs_log",
]);

describe("readers on shared images", () => {
  for (const kind of ["btrfs", "btrfs-corrupt", "fat", "ext4", "ext4-corrupt", "iso9660", "qcow2", "xfs"]) {
    for (const image of sharedImages(kind)) {
      // Only what fills its disk: the contract opens no partitions.
      if (refused.has(image.name) || ((kind === "xfs" || kind === "btrfs") && !image.expected.has(""))) continue;
      describeFileSystemContract(image.name, () => rawFromQcow2(image.qcow2Path));
    }
  }
});
