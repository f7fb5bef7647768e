// Which records a mount would replay: from the tail, the oldest one still needed, to the head, the newest that is whole.
// Source: the rules of Linux fs/xfs/xfs_log_recover.c (xlog_find_tail, xlog_verify_head, xlog_verify_tail).
import { corrupt } from "../../../blocks/disk-error.ts";
import { findHead, guessHead, findRecordBack, findRecordForward, maxBuffersInFlight } from "./head.ts";
import { findBadRecord } from "./records.ts";
import { dataBlocks, headerBlocks, logBlockBytes, parseRecordHeader, type RecordHeader } from "./record.ts";
import type { LogRing } from "./ring.ts";

const unmountFlag = 0x20;
const operationFlagsOffset = 9;

/** Blocks [tail, head) of the ring; equal where there is nothing to replay. */
export interface LogExtent {
  readonly head: number;
  readonly tail: number;
}

const nothing: LogExtent = { head: 0, tail: 0 };

export async function findLogExtent(ring: LogRing): Promise<LogExtent> {
  const guess = await guessHead(ring);
  if (guess === undefined) return nothing;
  // The note of an unmount is written when all before it is on the disk: then there are no gaps to look for.
  const last = await findRecordBack(ring, guess.block, 0, 1);
  if (last !== undefined && (await isUnmounted(ring, last, parseRecordHeader(await ring.block(last)), guess.block % ring.blockCount))) return nothing;

  let head = await findHead(ring, guess);
  const newest = await findRecordBack(ring, head, head, 1);
  if (newest === undefined) throw corrupt("XFS log", ring.offsetBytes, "no record in it");
  let record = parseRecordHeader(await ring.block(newest));
  if (await isUnmounted(ring, newest, record, head)) return nothing;
  let tail = tailOf(ring, record);

  // Several buffers may have been under way: the records of the last few must be whole, or the log ends before them.
  const first = await findRecordBack(ring, head, tail, maxBuffersInFlight);
  if (first === undefined) throw corrupt("XFS log", ring.offsetBytes, `no record between its tail ${tail} and its head ${head}`);
  const torn = await findBadRecord(ring, head, first);
  if (torn !== undefined) {
    const before = await findRecordBack(ring, torn.block, tail, 1);
    if (before === undefined) throw torn.error;
    head = torn.block;
    record = parseRecordHeader(await ring.block(before));
    tail = tailOf(ring, record);
    if (await isUnmounted(ring, before, record, head)) return nothing;
    if (head === tail) throw torn.error;
  }
  return { head, tail: await findWholeTail(ring, head, tail, record.bufferBytes) };
}

function tailOf(ring: LogRing, record: RecordHeader): number {
  if (record.tailBlock >= ring.blockCount) throw corrupt("XFS log", ring.offsetBytes, `its tail is block ${record.tailBlock} of ${ring.blockCount}`);
  return record.tailBlock;
}

/** Whether nothing but the note of a clean unmount follows. */
async function isUnmounted(ring: LogRing, block: number, record: RecordHeader, head: number): Promise<boolean> {
  const length = headerBlocks(record) + dataBlocks(record);
  if (record.operationCount !== 1 || ring.next(block, length) !== head) return false;
  const data = await ring.block(ring.next(block, headerBlocks(record)));
  return (data[operationFlagsOffset]! & unmountFlag) !== 0;
}

/** The tail may point to blocks that the head has run over since: then the next whole record is the first. */
async function findWholeTail(ring: LogRing, head: number, start: number, bufferBytes: number): Promise<number> {
  let tail = await findRecordForward(ring, head, start, 1);
  if (tail === undefined) throw corrupt("XFS log", ring.offsetBytes, `no record from its tail ${start} on`);
  // Bounded: each turn goes on by one record.
  for (;;) {
    const bad = await findBadRecord(ring, head, tail);
    if (bad === undefined) return tail;
    const distance = head < bad.block ? bad.block - head : bad.block + (ring.blockCount - head);
    if (distance > (maxBuffersInFlight * bufferBytes) / logBlockBytes) throw bad.error;
    const following = await findRecordForward(ring, head, bad.block, 2);
    if (following === undefined || following === bad.block) throw bad.error;
    tail = following;
  }
}
