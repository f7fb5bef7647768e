import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, toDiskError, type DiskError } from "../../blocks/disk-error.ts";
import { parseDirectoryRecord, RECORD_HEADER_BYTES, type DirectoryRecord } from "./directory-record.ts";
import { SECTOR_BYTES } from "./volume-descriptor.ts";

/** Read at a time. */
const PIECE_BYTES = 64 * 1024;
/** A directory of a million long names takes 250 MB. */
const MAX_DIRECTORY_BYTES = 256 * 1024 * 1024;

export type FoundRecord = DirectoryRecord | {
  /** The damage begins so many bytes into the directory. */
  readonly position: number;
  readonly error: DiskError;
};

/**
 * The records of a directory, in batches. A record that contradicts itself takes the rest of its sector along, a
 * failed read its sector, each with an error in its place.
 * @param offset where the directory's data lies, in bytes of the volume
 */
export async function* readRecords(source: BlockSource, offset: number, sizeBytes: number): AsyncGenerator<FoundRecord[]> {
  const structure = `ISO 9660 directory at byte ${offset}`;
  const end = Math.min(sizeBytes, MAX_DIRECTORY_BYTES, Math.max(0, source.sizeBytes - offset));
  for (let position = 0; position < end; ) {
    const length = Math.min(PIECE_BYTES, end - position);
    const { records, next } = await readPiece(source, offset, position, length, position + length === end);
    if (records.length > 0) yield records;
    position = next;
  }
  if (end === sizeBytes) return;
  const limit = end === MAX_DIRECTORY_BYTES ? `the most that is read is ${end}` : `the volume ends after ${end} of them`;
  yield [{ position: end, error: corrupt(structure, offset + end, `${sizeBytes} bytes long, ${limit}`) }];
}

async function readPiece(source: BlockSource, offset: number, position: number, length: number, isLast: boolean): Promise<{ records: FoundRecord[]; next: number }> {
  let bytes: Uint8Array;
  try {
    bytes = await source.read(offset + position, length);
  } catch (error) {
    const sectorLength = Math.min(length, SECTOR_BYTES - (position % SECTOR_BYTES));
    if (length > sectorLength) return await readPiece(source, offset, position, sectorLength, false);
    return { records: [{ position, error: toDiskError(error) }], next: position + length };
  }
  const records: FoundRecord[] = [];
  let at = 0;
  while (at < length) {
    const recordLength = bytes[at]!;
    if (recordLength === 0) {
      at += SECTOR_BYTES - ((position + at) % SECTOR_BYTES);
      continue;
    }
    // Records may not cross a sector's end, but Linux reads those that do.
    if (at + recordLength > length && !isLast && at > 0) return { records, next: position + at };
    const record = at + recordLength > length ? undefined : parseDirectoryRecord(bytes.subarray(at, at + recordLength), offset + position + at);
    if (record === undefined) {
      const found = `${recordLength} bytes long, with a name of ${bytes[at + RECORD_HEADER_BYTES - 1] ?? "unknown"}`;
      records.push({ position: position + at, error: corrupt("ISO 9660 directory record", offset + position + at, found) });
      at += SECTOR_BYTES - ((position + at) % SECTOR_BYTES);
      continue;
    }
    records.push(record);
    at += recordLength;
  }
  return { records, next: position + Math.max(at, length) };
}
