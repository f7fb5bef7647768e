import { corrupt, type DiskError } from "../../../blocks/disk-error.ts";
import {
  checkRecord, dataBlocks, findForeignHeader, headerBlocks, isRecordHeader, parseRecordHeader, type RecordHeader,
} from "./record.ts";
import type { LogRing } from "./ring.ts";

const knownVersions = 0x3;
/** XLOG_MAX_RECORD_BSIZE of Linux, with room for what old kernels got wrong by a stripe unit. */
const maxRecordBytes = 512 * 1024;

export interface LogRecord {
  readonly block: number;
  readonly header: RecordHeader;
  /** Its header blocks and its data as they lie on the disk. */
  readonly headers: Buffer;
  readonly data: Buffer;
  readonly hasChecksum: boolean;
}

/** A record that can't be used: where, and why. */
export interface BadRecord {
  readonly block: number;
  readonly error: DiskError;
}

/** The records from `tail` to `head`, in order; the last one given may be a BadRecord. */
export async function* readRecords(ring: LogRing, head: number, tail: number): AsyncGenerator<LogRecord | BadRecord> {
  // Bounded: every turn goes on by one block at least, and never further than once around.
  let rest = head > tail ? head - tail : ring.blockCount - tail + head;
  for (let block = tail; rest > 0; ) {
    const found = await readRecord(ring, block, rest);
    yield found;
    if ("error" in found) return;
    const length = headerBlocks(found.header) + dataBlocks(found.header);
    rest -= length;
    block = ring.next(block, length);
  }
}

async function readRecord(ring: LogRing, block: number, rest: number): Promise<LogRecord | BadRecord> {
  const bad = (found: string): BadRecord => ({ block, error: corrupt(`XFS log record ${block}`, ring.offsetBytes, found) });
  const first = await ring.block(block);
  if (!isRecordHeader(first)) return bad(`magic 0x${first.readUInt32BE(0).toString(16)}, expected 0xfeedbabe`);
  const header = parseRecordHeader(first);
  if ((header.version & ~knownVersions) !== 0 || header.version === 0) return bad(`version ${header.version}`);
  if (header.length === 0 || header.length > maxRecordBytes) return bad(`${header.length} bytes of data`);
  if (headerBlocks(header) * 512 > maxRecordBytes) return bad(`buffers of ${header.bufferBytes} bytes`);
  const foreign = findForeignHeader(first, ring.superblock.uuidBytes);
  if (foreign !== undefined) return bad(foreign);
  const headerCount = headerBlocks(header);
  const length = headerCount + dataBlocks(header);
  if (length > rest) return bad(`${length} blocks, but the log ends after ${rest}`);
  const bytes = await ring.read(block, length);
  const headers = bytes.subarray(0, headerCount * 512);
  const data = bytes.subarray(headerCount * 512, headerCount * 512 + dataBlocks(header) * 512);
  const checksum = checkRecord(headers, data, header);
  if (checksum === "wrong") return bad("its checksum is wrong");
  return { block, header, headers, data, hasChecksum: checksum === "right" };
}

/** The first record between `tail` and `head` that can't be used. */
export async function findBadRecord(ring: LogRing, head: number, tail: number): Promise<BadRecord | undefined> {
  for await (const record of readRecords(ring, head, tail)) if ("error" in record) return record;
  return undefined;
}
