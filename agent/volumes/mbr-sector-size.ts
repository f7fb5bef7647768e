import type { BlockSource } from "../blocks/block-source.ts";
import { slice } from "../blocks/slice.ts";
import { recognise } from "../filesystems/recognise.ts";
import { isExtended, MBR_BYTES, parseBootRecord, type BootRecord, type MbrEntry } from "./mbr.ts";

const USUAL_SECTOR_BYTES = 512;
const LARGE_SECTOR_BYTES = 4096;

/**
 * The unit of an MBR's numbers. The table doesn't say, and a backup has lost the disk's own sector size: it is 512
 * unless only 4096 makes sense of the table, by an extended boot record or a volume that is there.
 */
export async function chooseSectorSize(source: BlockSource, record: BootRecord): Promise<number> {
  if (await makesSense(source, record, USUAL_SECTOR_BYTES)) return USUAL_SECTOR_BYTES;
  return (await makesSense(source, record, LARGE_SECTOR_BYTES)) ? LARGE_SECTOR_BYTES : USUAL_SECTOR_BYTES;
}

async function makesSense(source: BlockSource, record: BootRecord, sectorBytes: number): Promise<boolean> {
  for (const entry of record.entries) {
    if (entry.sectorCount > 0 && (await holdsSomething(source, entry, sectorBytes))) return true;
  }
  return false;
}

async function holdsSomething(source: BlockSource, entry: MbrEntry, sectorBytes: number): Promise<boolean> {
  const start = entry.startSector * sectorBytes;
  if (start === 0 || start + MBR_BYTES > source.sizeBytes) return false;
  if (isExtended(entry)) return parseBootRecord(await source.read(start, MBR_BYTES)) !== undefined;
  const length = Math.min(entry.sectorCount * sectorBytes, source.sizeBytes - start);
  return (await recognise(slice(source, start, length))) !== undefined;
}
