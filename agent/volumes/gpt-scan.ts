import { crc32 } from "node:zlib";
import type { BlockSource } from "../blocks/block-source.ts";
import { slice } from "../blocks/slice.ts";
import { corrupt, toDiskError, unsupported, type DiskError } from "../blocks/disk-error.ts";
import { parseGptEntries, type GptEntry } from "./gpt-entry.ts";
import { hasGptSignature, hex, parseGptHeader, type GptHeader } from "./gpt-header.ts";
import { unreadGptTypes } from "./unread-types.ts";
import type { Volume } from "./volume.ts";

/** GPT counts in sectors of the disk it was made on. A backup doesn't tell which; the place of the header does. */
const SECTOR_SIZES_BYTES = [512, 4096] as const;

/** The partitions by the primary table or, where that is damaged, by its copy. Throws why neither can be used. */
export async function scanGpt(source: BlockSource): Promise<Volume[]> {
  const errors: DiskError[] = [];
  for (const candidate of await headerCandidates(source)) {
    try {
      return await readTable(source, candidate.lba, candidate.sectorBytes);
    } catch (error) {
      errors.push(toDiskError(error));
    }
  }
  const ioError = errors.find((error) => error.code === "io_error");
  if (ioError !== undefined) throw ioError;
  const reasons = [...new Set(errors.map((error) => error.message))];
  throw corrupt("GPT", undefined, `no usable table: ${reasons.join("; ")}`);
}

/** True when a header stands at the start or the end of the disk; says nothing of its health. */
export async function hasGptHeader(source: BlockSource): Promise<boolean> {
  for (const sectorBytes of SECTOR_SIZES_BYTES) {
    const sectorCount = Math.floor(source.sizeBytes / sectorBytes);
    if (sectorCount < 2) continue;
    for (const lba of [1, sectorCount - 1]) {
      if (hasGptSignature(await source.read(lba * sectorBytes, sectorBytes))) return true;
    }
  }
  return false;
}

interface Candidate {
  readonly lba: number;
  readonly sectorBytes: number;
}

/** Primary headers first, then where these say that their copies are, then the last sector of the disk. */
async function headerCandidates(source: BlockSource): Promise<Candidate[]> {
  const primaries: Candidate[] = [];
  const alternates: Candidate[] = [];
  const last: Candidate[] = [];
  for (const sectorBytes of SECTOR_SIZES_BYTES) {
    const sectorCount = Math.floor(source.sizeBytes / sectorBytes);
    if (sectorCount < 2) continue;
    primaries.push({ lba: 1, sectorBytes });
    last.push({ lba: sectorCount - 1, sectorBytes });
    const alternate = await readAlternateLba(source, sectorBytes);
    if (alternate > 1n && alternate < BigInt(sectorCount)) alternates.push({ lba: Number(alternate), sectorBytes });
  }
  return [...primaries, ...alternates, ...last];
}

/** Not checked, so that it serves when the primary's CRC fails: the copy has a CRC of its own. 0 when there is none. */
async function readAlternateLba(source: BlockSource, sectorBytes: number): Promise<bigint> {
  try {
    const sector = await source.read(sectorBytes, sectorBytes);
    return hasGptSignature(sector) ? new DataView(sector.buffer, sector.byteOffset).getBigUint64(32, true) : 0n;
  } catch {
    // An unreadable primary is reported when it is tried as such; the copy may be readable.
    return 0n;
  }
}

async function readTable(source: BlockSource, lba: number, sectorBytes: number): Promise<Volume[]> {
  const header = parseGptHeader(await source.read(lba * sectorBytes, sectorBytes), lba);
  const entries = parseGptEntries(await readEntries(source, header), header.entrySizeBytes);
  return toVolumes(source, entries, sectorBytes);
}

async function readEntries(source: BlockSource, header: GptHeader): Promise<Uint8Array> {
  const bytes = await source.read(header.entriesOffsetBytes, header.entryCount * header.entrySizeBytes);
  const actual = crc32(bytes);
  if (actual !== header.entriesCrc32) {
    throw corrupt("GPT entries", header.entriesOffsetBytes, `CRC32 ${hex(actual)}, expected ${hex(header.entriesCrc32)}`);
  }
  return bytes;
}

function toVolumes(source: BlockSource, entries: readonly GptEntry[], sectorBytes: number): Volume[] {
  const overlaps = findOverlaps(entries);
  return entries.map((entry) => {
    const volume = toVolume(source, entry, sectorBytes);
    const other = overlaps.get(entry.number);
    if (other === undefined || volume.error !== undefined) return volume;
    // Both stay readable, as in the kernel: which of the two is right, only their contents tell.
    return { ...volume, error: corrupt(`GPT partition ${entry.number}`, undefined, `overlaps partition ${other}`) };
  });
}

function toVolume(source: BlockSource, entry: GptEntry, sectorBytes: number): Volume {
  const start = toBytes(entry.firstLba, sectorBytes);
  const end = toBytes(entry.endLba, sectorBytes);
  const common = {
    name: `p${entry.number}`,
    kind: "partition" as const,
    source: undefined,
    sizeBytes: Math.max(0, end - start),
    partition: {
      number: entry.number,
      table: "gpt" as const,
      type: entry.typeGuid,
      uuid: entry.uniqueGuid.toLowerCase(),
      label: entry.name === "" ? undefined : entry.name,
      startBytes: start,
    },
  };
  const damaged = (found: string): DiskError =>
    corrupt(`GPT partition ${entry.number}`, undefined, `LBA ${entry.firstLba} to ${entry.endLba - 1n}: ${found}`);
  if (entry.endLba <= entry.firstLba) return { ...common, error: damaged("ends before it starts") };
  const beyond = damaged(`the disk has ${Math.floor(source.sizeBytes / sectorBytes)} sectors`);
  if (start >= source.sizeBytes) return { ...common, error: beyond };
  const unread = unreadGptTypes.get(entry.typeGuid);
  if (unread !== undefined) return { ...common, error: unsupported(unread) };
  if (end <= source.sizeBytes) return { ...common, source: slice(source, start, end - start) };
  // Of a disk that was cut off, what is there can be read.
  const sizeBytes = source.sizeBytes - start;
  return { ...common, sizeBytes, source: slice(source, start, sizeBytes), error: beyond };
}

/** Beyond what a number holds exactly, the largest one: far behind the end of any source. */
function toBytes(lba: bigint, sectorBytes: number): number {
  const bytes = lba * BigInt(sectorBytes);
  return bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(bytes);
}

/** For each partition that shares sectors with another: one such other. */
function findOverlaps(entries: readonly GptEntry[]): Map<number, number> {
  const overlaps = new Map<number, number>();
  const sorted = entries.filter((entry) => entry.endLba > entry.firstLba).sort((a, b) => (a.firstLba < b.firstLba ? -1 : a.firstLba > b.firstLba ? 1 : 0));
  let farthest: GptEntry | undefined;
  for (const entry of sorted) {
    if (farthest !== undefined && entry.firstLba < farthest.endLba) {
      overlaps.set(entry.number, farthest.number);
      if (!overlaps.has(farthest.number)) overlaps.set(farthest.number, entry.number);
    }
    if (farthest === undefined || entry.endLba > farthest.endLba) farthest = entry;
  }
  return overlaps;
}
