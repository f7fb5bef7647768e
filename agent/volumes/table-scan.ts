import type { BlockSource } from "../blocks/block-source.ts";
import { corrupt, toDiskError, unsupported, type DiskError } from "../blocks/disk-error.ts";
import { recognise, recogniseBootSector } from "../filesystems/recognise.ts";
import { hasGptHeader, scanGpt } from "./gpt-scan.ts";
import { hasPartitions, hasValidBootFlags, MBR_BYTES, parseBootRecord, protectsGpt, type BootRecord } from "./mbr.ts";
import { chooseSectorSize } from "./mbr-sector-size.ts";
import { scanMbr } from "./mbr-scan.ts";
import type { Volume } from "./volume.ts";

/**
 * What the partition table of a disk says: its partitions, or one volume "disk" for a filesystem that fills it. Never an empty list:
 * a disk on which nothing is found is one volume "disk" whose error says what was looked for. A partition with both
 * a source and an error can be read, but its table contradicts itself. Throws only "io_error".
 */
export async function scanTable(source: BlockSource): Promise<Volume[]> {
  return await withHybridIso(source, await scanPartitions(source));
}

async function scanPartitions(source: BlockSource): Promise<Volume[]> {
  const sector = await source.read(0, Math.min(MBR_BYTES, source.sizeBytes));
  const record = parseBootRecord(sector);
  if (record === undefined) return await scanWithoutTable(source);
  if (!hasValidBootFlags(record) || (await isBareVolume(source, sector, record))) {
    return await scanWithoutTable(source, describeBootFlags(record));
  }
  if (protectsGpt(record)) return await scanProtectedGpt(source);
  const volumes = await scanMbr(source, record, await chooseSectorSize(source, record));
  return volumes.length > 0 ? volumes : await scanWithoutTable(source, "an MBR without partitions");
}

async function scanProtectedGpt(source: BlockSource): Promise<Volume[]> {
  try {
    const volumes = await scanGpt(source);
    return volumes.length > 0 ? volumes : [nothing(source, unsupported("nothing recognised: a GPT without partitions"))];
  } catch (error) {
    const known = toDiskError(error);
    if (known.code === "io_error") throw known;
    // Only where no trace of a table is left may a filesystem on the bare disk be what the disk holds.
    const isBare = !(await hasGptHeader(source)) && (await recognise(source))?.kind === "filesystem";
    return isBare ? await scanWithoutTable(source) : [nothing(source, known)];
  }
}

/**
 * A hybrid ISO image holds an ISO 9660 filesystem from the disk's start on, and a partition table so that it boots
 * from USB sticks. Where no partition shows that filesystem, it is listed beside them.
 */
async function withHybridIso(source: BlockSource, volumes: Volume[]): Promise<Volume[]> {
  if (volumes.some((volume) => volume.name === "disk" && volume.source !== undefined) || !(await isIso(source))) return volumes;
  for (const volume of volumes) {
    if (volume.source !== undefined && (await isIso(volume.source))) return volumes;
  }
  const disk: Volume = { name: "disk", kind: "disk", source, sizeBytes: source.sizeBytes };
  return [...volumes.filter((volume) => volume.name !== "disk"), disk];
}

/** A bad sector in one partition must not hide the others. */
async function isIso(source: BlockSource): Promise<boolean> {
  try {
    return (await recognise(source))?.type === "iso9660";
  } catch (error) {
    if (toDiskError(error).code === "io_error") return false;
    throw error;
  }
}

/** A filesystem on the bare disk; a GPT whose protective MBR was lost; or a word on what is there instead. */
async function scanWithoutTable(source: BlockSource, remark?: string): Promise<Volume[]> {
  const found = await recognise(source);
  if (found !== undefined && found.kind !== "disk") {
    return [{ name: "disk", kind: "disk", source, sizeBytes: source.sizeBytes }];
  }
  if (found !== undefined) return [nothing(source, unsupported(`${found.title} (${found.type})`))];
  if (await hasGptHeader(source)) return await scanProtectedGpt(source);
  return [nothing(source, await describeNothing(source, remark))];
}

function nothing(source: BlockSource, error: DiskError): Volume {
  return { name: "disk", kind: "disk", source: undefined, sizeBytes: source.sizeBytes, error };
}

/** Boot sectors of filesystems end in 55 AA as well; what stands in the table's place is then boot code. */
const bootSectorTypes: ReadonlySet<string> = new Set(["ntfs", "exfat", "vfat", "ReFS", "BitLocker"]);

async function isBareVolume(source: BlockSource, sector: Uint8Array, record: BootRecord): Promise<boolean> {
  const found = recogniseBootSector(sector);
  if (found === undefined || !bootSectorTypes.has(found.type)) return false;
  if (found.type !== "vfat" || !hasPartitions(record)) return true;
  // A disk once formatted as one FAT volume and partitioned later keeps FAT's numbers in its first sector: GRUB and
  // others leave them there. The first entry of the FAT, which repeats the media byte, tells whether FAT is there.
  const view = new DataView(sector.buffer, sector.byteOffset, MBR_BYTES);
  const fatOffset = view.getUint16(14, true) * view.getUint16(11, true);
  if (fatOffset + 1 > source.sizeBytes) return false;
  return (await source.read(fatOffset, 1))[0] === view.getUint8(21);
}

function describeBootFlags(record: BootRecord): string | undefined {
  const wrong = record.entries.find((entry) => entry.bootFlag !== 0x00 && entry.bootFlag !== 0x80);
  if (wrong === undefined) return undefined;
  return `no partition table: entry ${wrong.slot + 1} has the boot flag 0x${wrong.bootFlag.toString(16)}`;
}

/** How much at each end is looked at to call a disk empty, where its storage can't tell. */
const EMPTY_CHECK_BYTES = 1024 * 1024;

async function describeNothing(source: BlockSource, remark: string | undefined): Promise<DiskError> {
  if (source.sizeBytes < MBR_BYTES) return corrupt("disk", undefined, `only ${source.sizeBytes} bytes`);
  const reason = remark ?? ((await isEmpty(source)) ? "the disk holds only zeros where a table or a filesystem would be" : undefined);
  return unsupported(reason === undefined ? "nothing recognised" : `nothing recognised: ${reason}`);
}

async function isEmpty(source: BlockSource): Promise<boolean> {
  const length = Math.min(EMPTY_CHECK_BYTES, source.sizeBytes);
  for (const offset of [0, source.sizeBytes - length]) {
    const bytes = await source.read(offset, length);
    if (bytes.some((byte) => byte !== 0)) return false;
  }
  return true;
}
