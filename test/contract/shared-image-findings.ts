/** What was found where a shared image and its listing need a word: who is right, and why. */

export interface KnownDifference {
  readonly paths: RegExp;
  readonly reason: string;
}

/** By image (and volume): entries that are not compared. */
export const knownDifferences: ReadonlyMap<string, readonly KnownDifference[]> = new Map([
  ["ext4/e2_f_ea_inode", [{
    paths: /hash-flag-not-set$|^bad-hash-flag-set$/,
    reason: "the attribute's value inode fails its checks: getxattr on Linux 6.18 answers EUCLEAN, which the listing left out",
  }]],
  ["ext4/e2_f_verity", [{
    paths: /^file$/,
    reason: "the listing's kernel was built without fs-verity and refuses to open the file; its data is plain, and debugfs dumps the same",
  }]],
  ["ext4-corrupt/e2_f_bad_fname", [{
    paths: /^ci_dir/,
    reason: "the listing's kernel could not handle casefolded directories; debugfs lists the same two names (not UTF-8) as we do",
  }]],
  ["ext4-corrupt/e2_f_baddir", [{
    paths: /^foo_bar$|^test\/(badino|dot)$|^block\.h\/#damaged/,
    reason: "the kernel skips or stops at bad entries without a word; debugfs and e2fsck name each of them: foo/bar in /, badino and dot in /test, and block.h's block 0 corrupted",
  }]],
  ["ext4-corrupt/e2_f_badsymlinks", [{
    paths: /^(bad|empty)_fastlink/,
    reason: "i_size says 60 and 0 for a target kept in the inode: Linux 6.1 guessed, 6.18 answers EUCLEAN, e2fsck calls them invalid",
  }]],
  ["ext4-corrupt/e2_f_badsymlinks2", [
    {
      paths: /^(default|extents|inline_data)\/(empty|fast_isize_too_large|fast_isize_too_small)$/,
      reason: "i_size and target disagree: Linux 6.1 guessed, 6.18 answers EUCLEAN, e2fsck calls them invalid",
    },
    {
      paths: /^(extents_)?encrypted\/.+/,
      reason: "encrypted link targets are refused by name; the kernel without the key makes up a target and its size",
    },
  ]],
  ["ext4-corrupt/e2_f_short_encrypted_dirent", [{
    paths: /^get_shorty\/.+$/,
    reason: "Linux 6.1 hides the entry whose encrypted name is too short, 6.18 refuses the directory; e2fsck and debugfs show the entry",
  }]],
  ["iso9660/la_rockridge_zf_overflow", [{
    paths: /^a$/,
    reason: "a directory whose block doesn't begin with a directory record: Linux leaves it out without a word, bsdtar calls it \"beyond end-of-media\", xorriso cancels",
  }]],
]);

/** Volumes of a type that has no reader yet, by image and volume. */
export const unreadVolumes: ReadonlyMap<string, string> = new Map([
  ["pt/plaso_multi_partition p1", "NTFS"],
  ["pt/plaso_multi_partition p2", "NTFS"],
  ["pt/ul_dos_bsd", "a partition table and an ext3 superblock claim the same disk; like the kernel's disk scan, the table is followed, and neither partition holds a filesystem"],
]);

/** Images without a listing that must be refused: part of the reason. */
export const refusedImages: ReadonlyMap<string, string> = new Map([
  ["btrfs-corrupt/bp_fuzz_bad-superblock-1", "checksum"],
  ["btrfs-corrupt/bp_fuzz_bko-104131-fsck-oob-read", "the volume has"],
  ["btrfs-corrupt/bp_fuzz_bko-154021-invalid-drop-level", "default subvolume"],
  ["btrfs-corrupt/bp_fuzz_bko-161811", "mode 0o"],
  ["btrfs-corrupt/bp_fuzz_bko-166361-blocksize-zero", "level 48"],
  ["btrfs-corrupt/bp_fuzz_bko-169301-1-blocksize-zero", "level 48"],
  ["btrfs-corrupt/bp_fuzz_bko-199833-reloc-recovery-crash", "total_bytes"],
  ["btrfs-corrupt/bp_fuzz_bko-200409", "length"],
  ["btrfs-corrupt/bp_fuzz_bko-97041-invalid-sub-stripes-zero-FPE", "raid10"],
  ["btrfs-corrupt/bp_fuzz_sys-array-num-stripes-0", "48 bytes"],
  ["ext4/e2_f_ext_journal.journal", "jbd"],
  ["ext4-corrupt/e2_f_desc_size_zero", "s_desc_size 0"],
  ["ext4-corrupt/e2_f_first_meta_bg_too_big", "s_first_meta_bg"],
  ["ext4-corrupt/e2_f_noroot", "inode 2"],
  ["ext4-corrupt/e2_f_sb_extra_isize", "extra_isize"],
  ["ext4-corrupt/e2_f_zero_inode_size", "s_inode_size 0"],
  ["ext4-corrupt/e2_j_corrupt_journal_block", "checksum"],
  ["ext4-corrupt/e2_j_corrupt_revoke_rcount", "r_count"],
  ["ext4-corrupt/e2_j_corrupt_sb_csum", "checksum"],
  ["ext4-corrupt/e2_j_corrupt_sb_magic", "magic"],
  ["xfs/ul_xfs_log", "xfs_external_log"],
]);

/** Images without a listing that may be read. */
export const readableWithoutListing: ReadonlyMap<string, string> = new Map([
  ["btrfs-corrupt/bp_bad_item_ptr", "Linux refuses the mount over a damaged leaf; here only the file it belongs to has an error"],
  ["btrfs-corrupt/bp_fuzz_bko-155551-unaligned-tree-block", "Linux refuses the mount over a tree that is not needed for reading; the volume is empty"],
]);
