// Where the log ends: the newest block that was written. Cycle numbers fall by one there, but writes that were under
// way when the machine stopped may have left gaps before it.
// Source: the rules of Linux fs/xfs/xfs_log_recover.c (xlog_find_head, xlog_find_zeroed).
import { corrupt } from "../../../blocks/disk-error.ts";
import { dataBlocks, findForeignHeader, headerBlocks, isRecordHeader, parseRecordHeader } from "./record.ts";
import type { LogRing } from "./ring.ts";

/** Buffers that may be under way at once: XLOG_MAX_ICLOGS of Linux. */
export const maxBuffersInFlight = 8;
const maxRecordBlocksVersion1 = 64;
const maxRecordBlocksVersion2 = 512;

/** Where cycle numbers fall, gaps or not. */
export interface HeadGuess {
  /** 1 to the number of blocks. */
  readonly block: number;
  /** Blocks of this cycle are older than the head; 0: never written. */
  readonly oldCycle: number;
}

/** @returns undefined for a log that was never written */
export async function guessHead(ring: LogRing): Promise<HeadGuess | undefined> {
  const { blockCount } = ring;
  const firstCycle = await ring.probeCycle(0);
  if (firstCycle === 0) return undefined;
  const lastCycle = await ring.probeCycle(blockCount - 1);
  if (firstCycle === lastCycle) return { block: blockCount, oldCycle: lastCycle - 1 };
  return { block: await findCycleStart(ring, 0, blockCount - 1, lastCycle), oldCycle: lastCycle };
}

/** @returns the block after the newest one that was written, with everything before it */
export async function findHead(ring: LogRing, guess: HeadGuess): Promise<number> {
  const { blockCount } = ring;
  const maxRecordBlocks = ring.superblock.logVersion2 ? maxRecordBlocksVersion2 : maxRecordBlocksVersion1;
  const maxScanned = Math.min(blockCount, maxRecordBlocks * maxBuffersInFlight);
  if (guess.oldCycle === 0 && guess.block < blockCount) return findHeadBeforeZeros(ring, guess.block, maxScanned);
  const head = await skipGaps(ring, guess.block, guess.oldCycle, maxScanned);
  return (await dropPartialRecord(ring, head, maxRecordBlocks)) % blockCount;
}

/** A log that has not come around yet ends where the zeros begin. */
async function findHeadBeforeZeros(ring: LogRing, found: number, maxScanned: number): Promise<number> {
  const start = Math.max(0, found - maxScanned);
  const head = (await findCycle(ring, start, found, 0)) ?? found;
  const before = await findHeaderBefore(ring, head, start);
  if (before === undefined) throw corrupt("XFS log", ring.offsetBytes, `no record header in the blocks from ${start} to ${head}`);
  return assertOwn(ring, before, head, 0);
}

/** Binary search for the first block of a cycle, which all blocks from there to `end` have. */
async function findCycleStart(ring: LogRing, first: number, end: number, cycle: number): Promise<number> {
  let low = first;
  let high = end;
  for (let middle = (low + high) >>> 1; middle !== low && middle !== high; middle = (low + high) >>> 1) {
    if ((await ring.probeCycle(middle)) === cycle) high = middle;
    else low = middle;
  }
  return high;
}

/** First block of [start, end) in a cycle. */
async function findCycle(ring: LogRing, start: number, end: number, cycle: number): Promise<number | undefined> {
  for (let block = start; block < end; block++) if ((await ring.cycle(block)) === cycle) return block;
  return undefined;
}

/** Blocks written before the head may have a neighbour before them that was not: then the log ends there. */
async function skipGaps(ring: LogRing, head: number, endCycle: number, maxScanned: number): Promise<number> {
  if (head >= maxScanned) return (await findCycle(ring, head - maxScanned, head, endCycle)) ?? head;
  const wrapped = await findCycle(ring, ring.blockCount - (maxScanned - head), ring.blockCount, endCycle - 1);
  if (wrapped !== undefined) return wrapped;
  return (await findCycle(ring, 0, head, endCycle)) ?? head;
}

/** The last record before the head, if it is not whole, was never finished. */
async function dropPartialRecord(ring: LogRing, head: number, maxRecordBlocks: number): Promise<number> {
  const start = Math.max(0, head - maxRecordBlocks);
  const before = await findHeaderBefore(ring, head, start);
  if (before !== undefined) return assertOwn(ring, before, head, 0);
  if (start > 0) throw corrupt("XFS log", ring.offsetBytes, `no record header in the ${maxRecordBlocks} blocks before ${head}`);
  // The record began at the end of the log.
  const end = ring.blockCount;
  const wrapped = await findHeaderBefore(ring, end, end - (maxRecordBlocks - head));
  if (wrapped === undefined) throw corrupt("XFS log", ring.offsetBytes, `no record header in the blocks before ${head}`);
  const found = await assertOwn(ring, wrapped, end, head);
  return found === end ? head : found;
}

async function findHeaderBefore(ring: LogRing, head: number, start: number): Promise<number | undefined> {
  for (let block = head - 1; block >= Math.max(0, start); block--) if (await ring.isHeader(block)) return block;
  return undefined;
}

/** @returns `head`, or the record at `block` where it does not end exactly there */
async function assertOwn(ring: LogRing, block: number, head: number, extraBlocks: number): Promise<number> {
  const bytes = await ring.block(block);
  const foreign = findForeignHeader(bytes, ring.superblock.uuidBytes);
  if (foreign !== undefined) throw corrupt(`XFS log record ${block}`, ring.offsetBytes, foreign);
  const header = parseRecordHeader(bytes);
  return head - block + extraBlocks === dataBlocks(header) + headerBlocks(header) ? head : block;
}

/**
 * Goes back from `head` over record headers, at most to `tail`.
 * @returns the block of the `count`th, or of the last one that there is; undefined when there is none
 */
export async function findRecordBack(ring: LogRing, head: number, tail: number, count: number): Promise<number | undefined> {
  let found: number | undefined;
  let rest = count;
  const stop = head > tail ? tail : 0;
  for (let block = head - 1; block >= stop; block--) {
    if (!isRecordHeader(await ring.block(block))) continue;
    found = block;
    if (--rest === 0) return found;
  }
  if (tail < head) return found;
  for (let block = ring.blockCount - 1; block >= tail; block--) {
    if (!isRecordHeader(await ring.block(block))) continue;
    found = block;
    if (--rest === 0) return found;
  }
  return found;
}

/** Likewise forward, from `tail` to `head`. */
export async function findRecordForward(ring: LogRing, head: number, tail: number, count: number): Promise<number | undefined> {
  let found: number | undefined;
  let rest = count;
  const stop = head > tail ? head : ring.blockCount - 1;
  for (let block = tail; block <= Math.min(stop, ring.blockCount - 1); block++) {
    if (!(await ring.isHeader(block))) continue;
    found = block;
    if (--rest === 0) return found;
  }
  if (tail <= head) return found;
  for (let block = 0; block < head; block++) {
    if (!(await ring.isHeader(block))) continue;
    found = block;
    if (--rest === 0) return found;
  }
  return found;
}
