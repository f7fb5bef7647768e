// Feature bits of the XFS superblock.
// Source: "XFS Algorithms & Data Structures" (superblocks), Linux fs/xfs/libxfs/xfs_format.h; names as mkfs.xfs and
// xfs_info print them.
import { unsupported } from "../../blocks/disk-error.ts";

/** Bits of sb_versionnum above the version in the low four. */
export const versionBits = {
  attributes: 0x10,
  inodeVersion2: 0x20,
  quota: 0x40,
  alignment: 0x80,
  stripeAlignment: 0x100,
  shared: 0x200,
  logVersion2: 0x400,
  sectors: 0x800,
  unwrittenFlag: 0x1000,
  directoryVersion2: 0x2000,
  caseInsensitive: 0x4000,
  features2: 0x8000,
} as const;

const knownVersionBits = 0xfff0 & ~versionBits.shared;

/** Bits of sb_features2, in use on version 4. */
export const features2 = {
  lazyCounters: 0x2,
  attributes2: 0x8,
  parentPointers: 0x10,
  projectIds32: 0x80,
  checksums: 0x100,
  fileTypes: 0x200,
} as const;

const knownFeatures2 = features2.lazyCounters | features2.attributes2 | features2.projectIds32 | features2.fileTypes;

export const roCompat = { finobt: 0x1, rmapbt: 0x2, reflink: 0x4, inobtcount: 0x8 } as const;

export const incompat = {
  fileTypes: 0x1,
  sparseInodes: 0x2,
  metaUuid: 0x4,
  bigTime: 0x8,
  needsRepair: 0x10,
  largeExtentCounts: 0x20,
  exchangeRange: 0x40,
  parentPointers: 0x80,
  metadataDirectories: 0x100,
  zoned: 0x200,
  zoneGaps: 0x400,
} as const;

/** Those that change nothing a reader can't follow. */
const readable =
  incompat.fileTypes | incompat.sparseInodes | incompat.metaUuid | incompat.bigTime | incompat.largeExtentCounts |
  incompat.exchangeRange | incompat.parentPointers | incompat.metadataDirectories;

const incompatNames: Readonly<Record<number, string>> = {
  [incompat.needsRepair]: "needsrepair (Linux refuses it until xfs_repair has run)",
  [incompat.zoned]: "zoned",
  [incompat.zoneGaps]: "zone_gaps",
};

/** What a log may hold that older kernels can't replay. */
export const logIncompat = { loggedAttributes: 0x1 } as const;

/** Throws "unsupported" with the name of every incompatible feature that this reader can't honour. */
export function assertIncompatReadable(features: number): void {
  assertKnown("incompat", (features & ~readable) >>> 0, incompatNames);
}

/** Likewise for a log that must be replayed. */
export function assertLogIncompatReadable(features: number): void {
  assertKnown("log incompat", (features & ~logIncompat.loggedAttributes) >>> 0, {});
}

/** Version 4 keeps its features in two other words, and Linux refuses bits that it doesn't know in either. */
export function assertVersion4Readable(version: number, second: number): void {
  const unknown = version & 0xfff0 & ~knownVersionBits;
  if (unknown !== 0) throw unsupported(`XFS version 4 feature 0x${unknown.toString(16)}`);
  if ((version & versionBits.directoryVersion2) === 0) throw unsupported("XFS version 1 directories");
  const unknownSecond = (second & ~knownFeatures2) >>> 0;
  if ((version & versionBits.features2) !== 0 && unknownSecond !== 0) {
    throw unsupported(`XFS version 4 feature features2 0x${unknownSecond.toString(16)}`);
  }
}

function assertKnown(set: string, unknown: number, known: Readonly<Record<number, string>>): void {
  if (unknown === 0) return;
  const found: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const mask = (1 << bit) >>> 0;
    if ((unknown & mask) !== 0) found.push(known[mask] ?? `${set} 0x${mask.toString(16)}`);
  }
  throw unsupported(`XFS feature ${found.join(", ")}`);
}
