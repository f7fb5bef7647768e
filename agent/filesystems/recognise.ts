// Names what lies on a volume by its magic, also where no reader for it exists yet, so that an unread volume is
// listed with its type. Magics and offsets: the formats' own headers in the Linux kernel (include/uapi/linux/magic.h,
// fs/*), libblkid's documentation of superblock offsets, and the specifications named beside each entry.
import type { BlockSource } from "../blocks/block-source.ts";
import { isFatBootSector } from "./fat/boot-sector.ts";
import { findRaidSuperblock } from "./recognise-raid.ts";

export interface Recognised {
  /** The name that blkid prints: "ext4", "vfat", "LVM2_member", "crypto_LUKS". */
  readonly type: string;
  /** For people: "LVM2 physical volume". */
  readonly title: string;
  /**
   * "container": holds volumes or an encrypted volume, so that a filesystem's magic inside it must not be trusted;
   * "disk": only means something at the start of a whole disk or partition: a partition table of another kind.
   */
  readonly kind: "filesystem" | "container" | "swap" | "disk";
}

interface Signature extends Recognised {
  /** Where the magic may stand, in bytes from the start. */
  readonly offsets: readonly number[];
  readonly magic: Uint8Array;
}

/** The farthest magic is ZFS's uberblock array. One read, one round trip. */
const HEAD_BYTES = 136 * 1024;

const text = (value: string): Uint8Array => Buffer.from(value, "latin1");
const hex = (value: string): Uint8Array => Buffer.from(value, "hex");

function signature(kind: Recognised["kind"], type: string, title: string, magic: Uint8Array, ...offsets: number[]): Signature {
  return { kind, type, title, magic, offsets };
}

/** LVM2 writes its label into one of the first four sectors; the type stands 24 bytes into it. */
const lvmLabelOffsets = [0, 512, 1024, 1536].map((sector) => sector + 24);
/** The header page of swap ends with the magic; pages are 4 to 64 KiB. */
const swapOffsets = [4096, 8192, 16384, 32768, 65536].map((page) => page - 10);
/** 128 uberblocks of at least 1 KiB from 128 KiB on; an active pool has most of the first ones written. */
const zfsOffsets = Array.from({ length: 8 }, (_, slot) => 131072 + slot * 1024);
/** Volume recognition area of ECMA-167: a descriptor each 2 KiB from 32 KiB on. */
const udfOffsets = Array.from({ length: 8 }, (_, slot) => 32768 + slot * 2048 + 1);

// Order matters: containers before filesystems, the specific before the general.
const signatures: readonly Signature[] = [
  signature("container", "crypto_LUKS", "LUKS encrypted volume", text("LUKS\xba\xbe"), 0),
  signature("container", "BitLocker", "BitLocker encrypted volume", text("-FVE-FS-"), 3),
  // BitLocker To Go keeps a FAT boot sector; its GUID 4967D63B-2E29-4AD8-8399-F6A339E3D001 tells it apart.
  signature("container", "BitLocker", "BitLocker To Go encrypted volume", hex("3bd66749292ed84a8399f6a339e3d001"), 424),
  signature("container", "LVM2_member", "LVM2 physical volume", text("LVM2 001"), ...lvmLabelOffsets),
  signature("container", "linux_raid_member", "Linux software RAID member", hex("fc4e2ba9"), 0, 4096),
  signature("container", "bcache", "bcache backing or cache device", hex("c68573f666ce90a9d96a60cf803df7ef"), 4096 + 24),
  signature("container", "stratis", "Stratis pool member", hex("215374726130746973"), 512 + 4),
  signature("container", "DM_integrity", "dm-integrity device", text("integrt\0"), 0),
  signature("container", "vdo", "VDO volume", text("dmvdo001"), 0),
  signature("container", "zfs_member", "ZFS pool member", hex("0cb1ba0000000000"), ...zfsOffsets),
  signature("container", "zfs_member", "ZFS pool member", hex("0000000000bab10c"), ...zfsOffsets),
  signature("filesystem", "bcachefs", "bcachefs", hex("c68573f64e1a45ca8265f57f48ba6d81"), 4096 + 24),
  signature("filesystem", "ntfs", "NTFS", text("NTFS    "), 3),
  signature("filesystem", "exfat", "exFAT", text("EXFAT   "), 3),
  signature("filesystem", "ReFS", "ReFS", hex("0000005265465300"), 0),
  signature("container", "xfs_external_log", "external XFS log", hex("feedbabe"), 0),
  signature("filesystem", "xfs", "XFS", text("XFSB"), 0),
  signature("filesystem", "btrfs", "btrfs", text("_BHRfS_M"), 65536 + 64),
  signature("filesystem", "f2fs", "F2FS", hex("1020f5f2"), 1024),
  signature("filesystem", "erofs", "EROFS", hex("e2e1f5e0"), 1024),
  signature("filesystem", "squashfs", "SquashFS", text("hsqs"), 0),
  signature("filesystem", "cramfs", "cramfs", hex("453dcd28"), 0),
  signature("filesystem", "romfs", "romfs", text("-rom1fs-"), 0),
  signature("filesystem", "apfs", "APFS container", text("NXSB"), 32),
  signature("filesystem", "gfs2", "GFS2", hex("01161970"), 65536),
  signature("filesystem", "ocfs2", "OCFS2", text("OCFSV2"), 1024, 2048, 4096, 8192),
  signature("filesystem", "reiserfs", "ReiserFS", text("ReIsErFs"), 65536 + 52, 8192 + 52),
  signature("filesystem", "reiserfs", "ReiserFS", text("ReIsEr2Fs"), 65536 + 52),
  signature("filesystem", "reiserfs", "ReiserFS", text("ReIsEr3Fs"), 65536 + 52),
  signature("filesystem", "reiser4", "Reiser4", text("ReIsEr4"), 65536),
  signature("filesystem", "jfs", "JFS", text("JFS1"), 32768),
  signature("filesystem", "hfsplus", "HFS+", text("H+\x00\x04"), 1024),
  signature("filesystem", "hfsplus", "HFS+ (case-sensitive)", text("HX\x00\x05"), 1024),
  signature("filesystem", "ufs", "UFS2", hex("19015419"), 65536 + 1372),
  signature("filesystem", "ufs", "UFS1", hex("54190100"), 8192 + 1372),
  signature("filesystem", "udf", "UDF", text("NSR02"), ...udfOffsets),
  signature("filesystem", "udf", "UDF", text("NSR03"), ...udfOffsets),
  signature("filesystem", "iso9660", "ISO 9660", text("CD001"), 32769),
  signature("swap", "swap", "Linux swap space", text("SWAPSPACE2"), ...swapOffsets),
  signature("swap", "swap", "Linux swap space (old)", text("SWAP-SPACE"), ...swapOffsets),
  signature("swap", "swsuspend", "suspended Linux image in swap space", text("S1SUSPEND"), ...swapOffsets),
  signature("disk", "mac", "Apple partition map", text("PM\x00\x00"), 512),
  signature("disk", "bsd", "BSD disklabel", hex("57455682"), 512, 64, 0),
  signature("disk", "solaris", "Solaris x86 VTOC", hex("eede0d60"), 512 + 12),
  signature("disk", "sgi", "SGI disk label", hex("0be5a941"), 0),
  signature("disk", "aix", "AIX disk", hex("c9c2d4c1"), 0),
  signature("disk", "amiga", "Amiga rigid disk block", text("RDSK"), 0),
  signature("disk", "ldm", "Windows dynamic disk (LDM)", text("PRIVHEAD"), 6 * 512),
];

/** What other contents may hold by chance: asked last. */
const weakSignatures: readonly Signature[] = [
  // The second header of LUKS2, which cryptsetup finds where the first was overwritten. A filesystem made since may have left it there.
  signature("container", "crypto_LUKS", "LUKS encrypted volume", text("SKUL\xba\xbe"), 0x4000, 0x8000, 0x10000, 0x20000),
  signature("filesystem", "nilfs2", "NILFS2", hex("3434"), 1024 + 6),
  signature("filesystem", "hfs", "HFS", text("BD"), 1024),
  signature("disk", "sun", "Sun disk label", hex("dabe"), 508),
];

const fat: Recognised = { kind: "filesystem", type: "vfat", title: "FAT" };

/**
 * What lies on the source, by magic alone: undefined when nothing known does. FAT carries no magic and is known by
 * the plausible numbers of its boot sector. Throws only "io_error".
 */
export async function recognise(source: BlockSource): Promise<Recognised | undefined> {
  const head = await source.read(0, Math.min(HEAD_BYTES, source.sizeBytes));
  // A mirror with its superblock at the end starts as what it holds, be that a filesystem or another container.
  const raid = await findRaidSuperblock(source);
  if (raid !== undefined) return raid;
  const container = signatures.find((entry) => entry.kind === "container" && matches(entry, head));
  if (container !== undefined) return container;
  const found = recogniseExt(head) ?? signatures.find((entry) => matches(entry, head));
  if (found !== undefined) return found;
  if (isFatBootSector(head.subarray(0, 512))) return fat;
  return weakSignatures.find((entry) => matches(entry, head));
}

/**
 * What the first sector alone says: the filesystems whose boot sector stands where a partition table would, and
 * which ends in 55 AA as well.
 */
export function recogniseBootSector(sector: Uint8Array): Recognised | undefined {
  const found = signatures.find((entry) => entry.kind !== "disk" && matches(entry, sector));
  return found ?? (isFatBootSector(sector) ? fat : undefined);
}

/** As `recognise`, but only what may not be opened as the filesystem whose magic may stand inside it. */
export async function recogniseContainer(source: BlockSource): Promise<Recognised | undefined> {
  const found = await recognise(source);
  return found?.kind === "container" ? found : undefined;
}

function matches(entry: Signature, head: Uint8Array): boolean {
  return entry.offsets.some((offset) => {
    if (offset + entry.magic.length > head.length) return false;
    return entry.magic.every((byte, index) => head[offset + index] === byte);
  });
}

const EXT_SUPERBLOCK_OFFSET = 1024;
const EXT_COMPAT_HAS_JOURNAL = 0x4;
const EXT_INCOMPAT_JOURNAL_DEVICE = 0x8;
/** Features up to ext3 (filetype, recover, meta_bg): any other incompatible one makes it ext4. */
const EXT3_INCOMPAT = 0x2 | 0x4 | 0x10;

/** The ext family shares one magic; its features tell which member it is (kernel: Documentation/filesystems/ext4). */
function recogniseExt(head: Uint8Array): Recognised | undefined {
  if (head.length < EXT_SUPERBLOCK_OFFSET + 1024) return undefined;
  const superblock = new DataView(head.buffer, head.byteOffset + EXT_SUPERBLOCK_OFFSET, 1024);
  if (superblock.getUint16(0x38, true) !== 0xef53) return undefined;
  const compat = superblock.getUint32(0x5c, true);
  const incompat = superblock.getUint32(0x60, true);
  if ((incompat & EXT_INCOMPAT_JOURNAL_DEVICE) !== 0) {
    return { kind: "container", type: "jbd", title: "external ext4 journal" };
  }
  const type = (incompat & ~EXT3_INCOMPAT) !== 0 ? "ext4" : (compat & EXT_COMPAT_HAS_JOURNAL) !== 0 ? "ext3" : "ext2";
  return { kind: "filesystem", type, title: type };
}
