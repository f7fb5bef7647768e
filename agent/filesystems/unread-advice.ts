import type { Recognised } from "./recognise.ts";

/** By the name that blkid prints: what to do with a raw copy of it. */
const advice: Readonly<Record<string, string>> = {
  zfs_member: 'import a raw copy of every disk of the pool with "zpool import -o readonly=on -d FOLDER"',
  LVM2_member: "its volume group's volumes are listed beside it where they can be read",
  linux_raid_member: "its array is listed beside it where it can be read",
  vdo: "start a raw copy with the tools of LVM VDO on Linux",
  bcache: "assemble raw copies of the backing and the cache device on Linux",
  DM_integrity: 'open a raw copy on Linux with "integritysetup open"',
  stratis: 'start the pool from raw copies on Linux with "stratis pool start"',
  BitLocker: "unlock a raw copy with Windows, or with cryptsetup (bitlkOpen) or dislocker on Linux",
  f2fs: 'mount a raw copy on Linux with "mount -o loop,ro -t f2fs"',
  bcachefs: 'mount a raw copy on Linux with "mount -o loop,ro,norecovery -t bcachefs"',
  reiserfs: 'mount a raw copy on a Linux before 6.13 with "mount -o loop,ro -t reiserfs"',
  reiser4: "mount a raw copy on a Linux with the Reiser4 patch",
  jfs: 'mount a raw copy on Linux with "mount -o loop,ro -t jfs"',
  nilfs2: 'mount a raw copy on Linux with "mount -o loop,ro -t nilfs2"',
  ocfs2: 'mount a raw copy on Linux with "mount -o loop,ro -t ocfs2"',
  gfs2: 'mount a raw copy on Linux with "mount -o loop,ro,lockproto=lock_nolock -t gfs2"',
  ReFS: "attach a raw copy to Windows",
  apfs: "attach a raw copy to macOS, or use apfs-fuse",
};

/** The rest of the sentence that begins with what it is. */
export function adviceFor({ kind, type }: Recognised): string {
  if (kind === "swap") return "holds no files";
  const known = advice[type];
  return known === undefined ? "can't be read" : `can't be read here: ${known}`;
}
