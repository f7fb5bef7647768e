// What Linux does with a journal when it mounts a filesystem that wasn't unmounted, in memory: find
// where the log ends, collect what was revoked, then let each logged block take its place.
// Source: Linux fs/jbd2/recovery.c, whose three passes and verdicts these are.
import { corrupt, unsupported, type DiskError } from "../../../blocks/disk-error.ts";
import type { OverlayBlock } from "../../../blocks/overlay.ts";
import { crc32BeUpdate } from "./crc32-be.ts";
import {
  blockType, commitChecksumMatches, dataChecksumMatches, parseBlockTags, parseCommitBlock, parseRevokedBlocks, tailChecksumMatches,
} from "./journal-blocks.ts";
import { journalMagic, type JournalSuperblock } from "./journal-superblock.ts";
import type { LogReader } from "./log-reader.ts";

/** Blocks that one replay may put in their places: a journal of sixteen gigabytes, at 4 KiB a block. Each costs memory. */
const maxLoggedBlocks = 4_000_000;

const headOfEscaped = Uint8Array.of(0xc0, 0x3b, 0x39, 0x98);

/** Blocks of the log in order: what the later passes need of them. */
interface LoggedBlock {
  readonly block: number;
  readonly sequence: number;
}

interface Scan {
  readonly descriptors: LoggedBlock[];
  readonly revokes: LoggedBlock[];
  /** Every block number that some descriptor names. */
  readonly logged: ReadonlySet<number>;
  /** The first transaction that isn't whole: the log ends before it. */
  readonly endSequence: number;
}

export interface Recovered {
  /** By block number of the filesystem: where in the source its newest contents lie. */
  readonly blocks: Map<number, OverlayBlock>;
  /** The transaction that the fast commits, if any, belong to. */
  readonly endSequence: number;
}

/**
 * @param log the journal's blocks
 * @param blockCount blocks of the filesystem; a logged block beyond them is "corrupt"
 * @throws "corrupt" wherever Linux refuses the mount: a transaction that was committed and is damaged
 */
export async function recoverJournal(log: LogReader, journal: JournalSuperblock, blockCount: number): Promise<Recovered> {
  const scan = await scanLog(log, journal);
  const revoked = await collectRevoked(log, journal, scan);
  const blocks = await replay(log, journal, scan, revoked, blockCount);
  return { blocks, endSequence: scan.endSequence };
}

function next(block: number, count: number, journal: JournalSuperblock): number {
  const following = block + count;
  return following >= journal.endBlock ? following - (journal.endBlock - journal.firstBlock) : following;
}

/** Sequence numbers wrap around: true when `left` is `right` or comes later. */
function isAtOrAfter(left: number, right: number): boolean {
  return ((left - right) | 0) >= 0;
}

async function scanLog(log: LogReader, journal: JournalSuperblock): Promise<Scan> {
  const descriptors: LoggedBlock[] = [];
  const revokes: LoggedBlock[] = [];
  const logged = new Set<number>();
  let sequence = journal.firstSequence;
  let position = journal.startBlock;
  let endSequence: number | undefined;
  let lastCommitTime = 0n;
  let checksumFailed = false;
  let transactionChecksum = 0xffffffff;
  // Bounded: the log has no more blocks than the journal, however its blocks point around in it.
  for (let left = journal.endBlock - journal.firstBlock; left > 0; left--) {
    const here = position;
    const block = await log.read(here);
    if (block.readUInt32BE(0) !== journalMagic || block.readUInt32BE(8) !== sequence) break;
    position = next(here, 1, journal);
    const type = block.readUInt32BE(4);
    if (type === blockType.descriptor) {
      // Blocks of an older life of the journal may look like this one's: the commit time will tell.
      if (!tailChecksumMatches(block, journal)) checksumFailed = true;
      descriptors.push({ block: here, sequence });
      const tags = parseBlockTags(block, journal);
      const count = tags.length;
      for (const tag of tags) logged.add(tag.blockNumber);
      if (logged.size > maxLoggedBlocks) throw unsupported(`jbd2 journal that logs more than ${maxLoggedBlocks} blocks`);
      left -= count;
      if (journal.commitChecksums && !checksumFailed && endSequence === undefined && left >= 0) {
        transactionChecksum = crc32BeUpdate(transactionChecksum, block);
        for (let i = 0; i < count; i++) {
          transactionChecksum = crc32BeUpdate(transactionChecksum, await log.read(position));
          position = next(position, 1, journal);
        }
      } else {
        position = next(position, count, journal);
      }
    } else if (type === blockType.revoke) {
      if (!tailChecksumMatches(block, journal)) checksumFailed = true;
      revokes.push({ block: here, sequence });
    } else if (type === blockType.commit) {
      const commit = parseCommitBlock(block);
      const fail = (found: string) => corrupt(`jbd2 transaction ${sequence}`, log.offsetOf(here), found);
      if (checksumFailed) {
        if (commit.time >= lastCommitTime) throw fail("committed, but the checksum of one of its descriptor or revoke blocks is wrong");
        break;
      }
      if (journal.commitChecksums && endSequence !== undefined) throw fail("committed after a transaction with a wrong checksum");
      const matches = journal.commitChecksums
        ? (commit.checksum === transactionChecksum && commit.checksumType === 1 && commit.checksumSize === 4) ||
          (commit.checksum === 0 && commit.checksumType === 0 && commit.checksumSize === 0)
        : commitChecksumMatches(block, journal);
      if (!matches) {
        if (commit.time < lastCommitTime) break;
        if (!journal.asyncCommit) throw fail("the checksum of its commit block is wrong");
        // Written without waiting for its blocks: most likely the crash came in between.
        endSequence ??= sequence;
      }
      if (matches) transactionChecksum = 0xffffffff;
      lastCommitTime = commit.time;
      sequence = (sequence + 1) >>> 0;
    } else {
      break;
    }
  }
  endSequence ??= sequence;
  const isWhole = (logged: LoggedBlock) => !isAtOrAfter(logged.sequence, endSequence);
  return { descriptors: descriptors.filter(isWhole), revokes: revokes.filter(isWhole), logged, endSequence };
}

/** By block: the last transaction that revoked it. What was logged up to that one must not be replayed. */
async function collectRevoked(log: LogReader, journal: JournalSuperblock, scan: Scan): Promise<Map<number, number>> {
  const revoked = new Map<number, number>();
  for (const { block, sequence } of scan.revokes) {
    for (const blockNumber of parseRevokedBlocks(await log.read(block), journal, log.offsetOf(block))) {
      // Journals of machines that delete much revoke millions of blocks; only those that are logged matter.
      if (!scan.logged.has(blockNumber)) continue;
      const known = revoked.get(blockNumber);
      if (known === undefined || isAtOrAfter(sequence, known)) revoked.set(blockNumber, sequence);
    }
  }
  return revoked;
}

async function replay(
  log: LogReader, journal: JournalSuperblock, scan: Scan, revoked: ReadonlyMap<number, number>, blockCount: number,
): Promise<Map<number, OverlayBlock>> {
  const blocks = new Map<number, OverlayBlock>();
  // Linux replays all it can before it reports what it couldn't, and then refuses the mount.
  let firstError: DiskError | undefined;
  for (const { block, sequence } of scan.descriptors) {
    const tags = parseBlockTags(await log.read(block), journal);
    let position = block;
    for (const tag of tags) {
      position = next(position, 1, journal);
      const revokedBy = revoked.get(tag.blockNumber);
      if (revokedBy !== undefined && isAtOrAfter(revokedBy, sequence)) continue;
      const offset = log.offsetOf(position);
      if (tag.blockNumber >= blockCount) {
        firstError ??= corrupt(`jbd2 transaction ${sequence}`, log.offsetOf(block), `logs block ${tag.blockNumber}, but the filesystem has ${blockCount}`);
        continue;
      }
      if (journal.checksums !== "none" && !dataChecksumMatches(await log.read(position), tag, sequence, journal)) {
        firstError ??= corrupt(`jbd2 transaction ${sequence}`, offset, `wrong checksum of the logged block ${tag.blockNumber}`);
        continue;
      }
      blocks.set(tag.blockNumber, tag.escaped ? { sourceOffset: offset, head: headOfEscaped } : offset);
    }
  }
  if (firstError !== undefined) throw firstError;
  return blocks;
}
