// Incompatible features of btrfs by name. Source: Linux include/uapi/linux/btrfs.h (BTRFS_FEATURE_INCOMPAT_*).
import { unsupported } from "../../blocks/disk-error.ts";

export const incompat = {
  mixedGroups: 1n << 2n,
  noHoles: 1n << 9n,
  metadataUuid: 1n << 10n,
} as const;

/** Features that change nothing for a reader, or that this reader follows. */
const readable: ReadonlySet<number> = new Set([
  0, // mixed_backref
  1, // default_subvol
  2, // mixed_groups
  3, // compress_lzo
  4, // compress_zstd
  5, // big_metadata
  6, // extended_iref
  7, // raid56
  8, // skinny_metadata
  9, // no_holes
  10, // metadata_uuid
  11, // raid1c34
  16, // simple_quota
]);

const names: Readonly<Record<number, string>> = {
  12: "zoned", 13: "extent_tree_v2", 14: "raid_stripe_tree", 15: "encrypt", 17: "remap_tree",
};

/** Throws "unsupported", naming every incompatible feature that this reader doesn't know how to follow. */
export function assertReadable(incompatFlags: bigint): void {
  const refused: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((incompatFlags & (1n << BigInt(bit))) === 0n || readable.has(bit)) continue;
    refused.push(names[bit] ?? `incompat 0x${(1n << BigInt(bit)).toString(16)}`);
  }
  if (refused.length > 0) throw unsupported(`btrfs feature ${refused.join(", ")}`);
}
