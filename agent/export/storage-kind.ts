import { statfs } from "node:fs/promises";

/**
 * What can be known of others who use a file:
 * - `local`: every writer runs on this kernel; its lock table and the file's times tell all, at once
 * - `shared`: other machines write too; opening a file brings its times up to date (close-to-open)
 * - `unknown`: neither can be relied on
 */
export type StorageKind = "local" | "shared" | "unknown";

/** By the magic numbers of statfs(2). A cluster file system (GFS2, OCFS2) and FUSE are neither. */
const kinds: ReadonlyMap<bigint, StorageKind> = new Map([
  ...[
    0xef53n, // ext2, ext3, ext4
    0x58465342n, // XFS
    0x9123683en, // btrfs
    0x2fc12fc1n, // ZFS
    0xf2f52010n, // F2FS
    0xca451a4en, // bcachefs
    0x3153464an, // JFS
    0x01021994n, // tmpfs
    0x858458f6n, // ramfs
    0x794c7630n, // overlayfs
  ].map((magic) => [magic, "local"] as const),
  ...[
    0x6969n, // NFS
    0xff534d42n, // CIFS
    0xfe534d42n, // SMB 2 and later
    0x00c36400n, // CephFS
  ].map((magic) => [magic, "shared"] as const),
]);

/** The kind that holds for all of some open files: the least that is known of any. */
export async function storageKindOf(fds: readonly number[]): Promise<StorageKind> {
  const types = await Promise.all(fds.map(async (fd) => (await statfs(`/proc/self/fd/${fd}`, { bigint: true })).type));
  const found = new Set<StorageKind>(types.map((type) => kinds.get(type) ?? "unknown"));
  return found.has("unknown") ? "unknown" : found.has("shared") ? "shared" : "local";
}
