// Feature bits of the ext2/3/4 superblock.
// Source: Linux Documentation/filesystems/ext4/super.rst; names as dumpe2fs prints them.
import { unsupported } from "../../blocks/disk-error.ts";

export const compat = { hasJournal: 0x4, dirIndex: 0x20, sparseSuper2: 0x200, fastCommit: 0x400, orphanFile: 0x1000 } as const;

export const incompat = {
  compression: 0x1,
  filetype: 0x2,
  recover: 0x4,
  journalDevice: 0x8,
  metaBg: 0x10,
  extents: 0x40,
  bit64: 0x80,
  mmp: 0x100,
  flexBg: 0x200,
  eaInode: 0x400,
  dirdata: 0x1000,
  csumSeed: 0x2000,
  largeDir: 0x4000,
  inlineData: 0x8000,
  encrypt: 0x10000,
  casefold: 0x20000,
} as const;

export const roCompat = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  btreeDir: 0x4,
  hugeFile: 0x8,
  gdtCsum: 0x10,
  extraIsize: 0x40,
  bigalloc: 0x200,
  metadataCsum: 0x400,
} as const;

/** The incompatible features this reader knows how to read. The journal device is refused on its own. */
const readable =
  incompat.filetype | incompat.recover | incompat.metaBg | incompat.extents | incompat.bit64 | incompat.mmp |
  incompat.flexBg | incompat.eaInode | incompat.dirdata | incompat.csumSeed | incompat.largeDir |
  incompat.inlineData | incompat.encrypt | incompat.casefold;

const incompatNames: Readonly<Record<number, string>> = {
  [incompat.compression]: "compression",
  [incompat.journalDevice]: "journal_dev",
};

/** Throws "unsupported" with the name of every incompatible feature that this reader can't honour. */
export function assertFeaturesReadable(features: number): void {
  const unknown = (features & ~readable) >>> 0;
  if (unknown === 0) return;
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const mask = (1 << bit) >>> 0;
    if ((unknown & mask) !== 0) names.push(incompatNames[mask] ?? `incompat 0x${mask.toString(16)}`);
  }
  throw unsupported(`ext4 feature ${names.join(", ")}`);
}

const ext2Incompat = incompat.filetype | incompat.metaBg;
const ext3Incompat = ext2Incompat | incompat.recover;
const ext3RoCompat = roCompat.sparseSuper | roCompat.largeFile | roCompat.btreeDir;

/** Which of the three filesystems this is, by the rule blkid uses. */
export function fileSystemType(features: { compat: number; incompat: number; roCompat: number }): "ext2" | "ext3" | "ext4" {
  if ((features.roCompat & ~ext3RoCompat) !== 0 || (features.incompat & ~ext3Incompat) !== 0) return "ext4";
  if ((features.compat & compat.hasJournal) !== 0) return "ext3";
  return (features.incompat & ~ext2Incompat) === 0 ? "ext2" : "ext4";
}
