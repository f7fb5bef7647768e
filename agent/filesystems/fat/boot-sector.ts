// The FAT boot sector with its BIOS parameter block. Source: Microsoft "FAT32 File System Specification" 1.03
// (fatgen103); what is accepted and how the variant is chosen: the Linux kernel's fs/fat/inode.c.
//
//   Offset | Size | Field                | Meaning
//   11     | 2    | bytes per sector     | 512, 1024, 2048 or 4096
//   13     | 1    | sectors per cluster  | a power of two
//   14     | 2    | reserved sectors     | before the first FAT; not 0
//   16     | 1    | number of FATs       | not 0
//   17     | 2    | root entries         | FAT12/16: size of the fixed root directory; FAT32: 0
//   19     | 2    | total sectors        | 0: see offset 32
//   21     | 1    | media                | 0xf0, or 0xf8 to 0xff
//   22     | 2    | sectors per FAT      | FAT32: 0
//   32     | 4    | total sectors        | when the 16-bit field is 0
//   FAT12/16:
//   37     | 1    | state                | bit 0: not unmounted
//   38     | 1    | signature            | 0x28: a serial number follows; 0x29: a label too
//   39     | 4    | serial number        |
//   43     | 11   | label                |
//   FAT32:
//   36     | 4    | sectors per FAT      |
//   40     | 2    | flags                | bit 7: only the FAT numbered in bits 0 to 3 is current
//   44     | 4    | root cluster         |
//   48     | 2    | FSInfo sector        |
//   65     | 1    | state                | bit 0: not unmounted
//   66     | 1    | signature            | as above
//   67     | 4    | serial number        |
//   71     | 11   | label                |
import { corrupt } from "../../blocks/disk-error.ts";

export type FatBits = 12 | 16 | 32;

export interface BootSector {
  readonly fatBits: FatBits;
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  /** From the start of the volume, as all offsets here. */
  readonly fatOffsetBytes: number;
  readonly fatBytes: number;
  /** The fixed root directory of FAT12 and FAT16; length 0 on FAT32. */
  readonly rootOffsetBytes: number;
  readonly rootBytes: number;
  /** First cluster of the root directory; 0 on FAT12 and FAT16. */
  readonly rootCluster: number;
  /** Where cluster 2 lies. */
  readonly dataOffsetBytes: number;
  readonly clusterCount: number;
  readonly sizeBytes: number;
  /** 0: there is none. */
  readonly fsInfoOffsetBytes: number;
  readonly isMarkedDirty: boolean;
  readonly serialNumber: number | undefined;
  /** The raw 11 bytes. */
  readonly label: Uint8Array | undefined;
}

export const BOOT_SECTOR_BYTES = 512;
/** Clusters are numbered from here. */
export const FIRST_CLUSTER = 2;

/** The largest count of clusters of each variant, as the kernel has it. */
const MAX_CLUSTERS: Record<FatBits, number> = { 12: 0xff4, 16: 0xfff4, 32: 0x0ffffff6 };
const DIRECTORY_RECORD_BYTES = 32;

/** Throws "corrupt" for what Linux does not mount. */
export function parseBootSector(sector: Uint8Array): BootSector {
  if (sector.length < BOOT_SECTOR_BYTES) throw corrupt("FAT boot sector", 0, `volume of ${sector.length} bytes`);
  const view = new DataView(sector.buffer, sector.byteOffset, BOOT_SECTOR_BYTES);
  const sectorBytes = view.getUint16(11, true);
  const sectorsPerCluster = view.getUint8(13);
  const reservedSectors = view.getUint16(14, true);
  const fatCount = view.getUint8(16);
  const rootEntries = view.getUint16(17, true);
  const totalSectors = view.getUint16(19, true) || view.getUint32(32, true);
  const media = view.getUint8(21);
  const fatSectors16 = view.getUint16(22, true);
  const fatSectors32 = view.getUint32(36, true);

  assertField(isPowerOfTwo(sectorBytes) && sectorBytes >= 512 && sectorBytes <= 4096, 11, `${sectorBytes} bytes per sector, expected 512 to 4096`);
  assertField(isPowerOfTwo(sectorsPerCluster), 13, `${sectorsPerCluster} sectors per cluster, expected a power of two`);
  assertField(reservedSectors > 0, 14, "no reserved sectors");
  assertField(fatCount > 0, 16, "no FAT");
  assertField(media === 0xf0 || media >= 0xf8, 21, `media ${media}, expected 0xf0 or 0xf8 to 0xff`);
  assertField(fatSectors16 > 0 || fatSectors32 > 0, 22, "FAT of no sectors");
  assertField((rootEntries * DIRECTORY_RECORD_BYTES) % sectorBytes === 0, 17, `${rootEntries} root entries don't fill whole sectors`);

  // Linux: a missing 16-bit length makes it FAT32; otherwise the count of clusters decides.
  const isFat32 = fatSectors16 === 0;
  const fatSectors = isFat32 ? fatSectors32 : fatSectors16;
  const rootSector = reservedSectors + fatCount * fatSectors;
  const dataSector = rootSector + (rootEntries * DIRECTORY_RECORD_BYTES) / sectorBytes;
  assertField(totalSectors >= dataSector, 19, `${totalSectors} sectors, but data starts at sector ${dataSector}`);
  const dataClusters = Math.floor((totalSectors - dataSector) / sectorsPerCluster);
  const fatBits: FatBits = isFat32 ? 32 : dataClusters > MAX_CLUSTERS[12] ? 16 : 12;
  const fatBytes = fatSectors * sectorBytes;
  const clusterCount = Math.max(0, Math.min(dataClusters, Math.floor((fatBytes * 8) / fatBits) - FIRST_CLUSTER));
  assertField(clusterCount <= MAX_CLUSTERS[fatBits], 19, `${clusterCount} clusters, at most ${MAX_CLUSTERS[fatBits]} in FAT${fatBits}`);

  const rootCluster = isFat32 ? view.getUint32(44, true) : 0;
  // Linux shows an empty root for a cluster that isn't one; nothing may look empty that isn't.
  assertField(!isFat32 || (rootCluster >= FIRST_CLUSTER && rootCluster < clusterCount + FIRST_CLUSTER), 44, `root cluster ${rootCluster}, the clusters are 2 to ${clusterCount + 1}`);
  const flags = isFat32 ? view.getUint16(40, true) : 0;
  const activeFat = (flags & 0x80) === 0 ? 0 : flags & 0xf;
  assertField(activeFat < fatCount, 40, `active FAT ${activeFat} of ${fatCount}`);
  const extended = isFat32 ? 64 : 36;
  const signature = view.getUint8(extended + 2);
  return {
    fatBits,
    sectorBytes,
    clusterBytes: sectorsPerCluster * sectorBytes,
    fatOffsetBytes: (reservedSectors + activeFat * fatSectors) * sectorBytes,
    fatBytes,
    rootOffsetBytes: rootSector * sectorBytes,
    rootBytes: rootEntries * DIRECTORY_RECORD_BYTES,
    rootCluster,
    dataOffsetBytes: dataSector * sectorBytes,
    clusterCount,
    sizeBytes: totalSectors * sectorBytes,
    fsInfoOffsetBytes: isFat32 ? fsInfoSector(view.getUint16(48, true), reservedSectors) * sectorBytes : 0,
    isMarkedDirty: (view.getUint8(extended + 1) & 1) !== 0,
    serialNumber: signature === 0x28 || signature === 0x29 ? view.getUint32(extended + 3, true) : undefined,
    label: signature === 0x29 ? Uint8Array.from(sector.subarray(extended + 7, extended + 18)) : undefined,
  };
}

/** 0 stands for the usual place; 0xffff and what lies outside the reserved sectors for none. */
function fsInfoSector(field: number, reservedSectors: number): number {
  const sector = field === 0 ? 1 : field;
  return sector < reservedSectors ? sector : 0;
}

/** OS/2's JFS and HPFS carry a parameter block that only looks like FAT's; NTFS and exFAT leave it zero. */
const notFat: ReadonlySet<string> = new Set(["JFS     ", "HPFS    "]);
const fatNames: ReadonlySet<string> = new Set(["FAT12   ", "FAT16   ", "FAT32   "]);

/**
 * True for a volume that Linux would mount as FAT, and for one that calls itself FAT but is damaged, so that
 * opening it can say how. FAT has no magic of its own.
 */
export function isFatBootSector(sector: Uint8Array): boolean {
  if (sector.length < BOOT_SECTOR_BYTES) return false;
  const bytes = Buffer.from(sector.buffer, sector.byteOffset, BOOT_SECTOR_BYTES);
  const name16 = bytes.toString("latin1", 54, 62);
  const name32 = bytes.toString("latin1", 82, 90);
  if (notFat.has(name16)) return false;
  const isSigned = bytes[510] === 0x55 && bytes[511] === 0xaa;
  if (isSigned && (bytes[0] === 0xeb || bytes[0] === 0xe9) && (fatNames.has(name16) || fatNames.has(name32))) return true;
  try {
    return parseBootSector(sector).clusterCount > 0;
  } catch {
    return false;
  }
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

function assertField(holds: boolean, offset: number, found: string): void {
  if (!holds) throw corrupt("FAT boot sector", offset, found);
}
