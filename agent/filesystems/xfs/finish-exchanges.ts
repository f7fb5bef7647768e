import { corrupt, toDiskError, unsupported } from "../../blocks/disk-error.ts";
import type { BlockRun } from "./block-runs.ts";
import type { Contents } from "./contents.ts";
import { hole } from "./extent-record.ts";
import type { Inode } from "./inode.ts";
import type { InodeTable } from "./inode-table.ts";
import type { Exchange, ExchangeSide } from "./log/exchange.ts";
import type { PendingChanges } from "./pending-changes.ts";

/** Runs of blocks that one exchange may move: every read of such a file goes through all of them. */
const maxRuns = 4096;
const generationOffset = 92;

/**
 * Maps the blocks of two files whose exchange the log left unfinished as Linux does when it mounts. Files for which
 * this can't be done have a content error that says so. Throws "corrupt" where Linux would refuse to mount.
 */
export async function finishExchanges({ contents, inodes }: { contents: Contents; inodes: InodeTable }, changes: PendingChanges): Promise<void> {
  for (const exchange of changes.exchanges) {
    const first = await readSide(inodes, exchange.first);
    const second = await readSide(inodes, exchange.second);
    try {
      await finish(contents, first, second, exchange, changes);
    } catch (error) {
      const known = toDiskError(error);
      for (const { number } of [first, second]) changes.contentErrors.set(number, known);
    }
  }
}

async function readSide(inodes: InodeTable, { inode: number, generation }: ExchangeSide): Promise<Inode> {
  const inode = await inodes.get(number);
  const found = inode.bytes.readUInt32BE(generationOffset);
  if (found !== generation) throw corrupt("XFS log exchange intent", undefined, `inode ${number} of generation ${generation}, but it has ${found}`);
  return inode;
}

async function finish(contents: Contents, first: Inode, second: Inode, exchange: Exchange, changes: PendingChanges): Promise<void> {
  const { blockCount } = exchange;
  const what = `XFS exchange of file contents cut off half-way, of inodes ${first.number} and ${second.number}`;
  if (exchange.unknownFlags !== 0n) throw unsupported(`${what}: flags 0x${exchange.unknownFlags.toString(16)}`);
  if (exchange.isAttributes) throw unsupported(`${what}: of their attributes`);
  if (first.type !== "file" || second.type !== "file") throw unsupported(`${what}: they are no files`);
  // Contents on another device are refused by themselves.
  if (first.isRealtime || second.isRealtime) return;
  const [fromFirst, fromSecond] = [await mapAll(contents, first, exchange.first.firstBlock, blockCount, what), await mapAll(contents, second, exchange.second.firstBlock, blockCount, what)];
  const moved = exchange.isWrittenOnly ? fromFirst.filter((run) => run.offsetBytes !== hole) : [{ logical: exchange.first.firstBlock, count: blockCount, offsetBytes: hole }];
  for (const { logical, count } of moved) {
    const start = logical - exchange.first.firstBlock;
    append(changes, second.number, part(fromFirst, exchange.first.firstBlock, start, count, exchange.second.firstBlock, contents.superblock.blockSizeBytes));
    append(changes, first.number, part(fromSecond, exchange.second.firstBlock, start, count, exchange.first.firstBlock, contents.superblock.blockSizeBytes));
  }
}

/** All runs of blocks [first, first + count) of a file. */
async function mapAll(contents: Contents, inode: Inode, first: number, count: number, what: string): Promise<BlockRun[]> {
  const runs: BlockRun[] = [];
  if (!Number.isSafeInteger(first + count)) throw corrupt(what, undefined, `${count} blocks from block ${first} on`);
  for (let at = first; at < first + count; ) {
    const found = await contents.map(inode, inode.data, at, first + count);
    runs.push(...found);
    if (runs.length > maxRuns) throw unsupported(`${what}: more than ${maxRuns} extents`);
    const last = found.at(-1)!;
    at = last.logical + last.count;
  }
  return runs;
}

/** Blocks [start, start + count) of `runs`, counted from `base`, as they lie in the other file, counted from `target`. */
function part(runs: readonly BlockRun[], base: number, start: number, count: number, target: number, blockSizeBytes: number): BlockRun[] {
  const parts: BlockRun[] = [];
  for (const run of runs) {
    const from = Math.max(run.logical - base, start);
    const until = Math.min(run.logical + run.count - base, start + count);
    if (from >= until) continue;
    const offsetBytes = run.offsetBytes === hole ? hole : run.offsetBytes + (base + from - run.logical) * blockSizeBytes;
    parts.push({ logical: target + from, count: until - from, offsetBytes });
  }
  return parts;
}

function append(changes: PendingChanges, inode: number, runs: readonly BlockRun[]): void {
  const list = changes.remapped.get(inode);
  if (list === undefined) changes.remapped.set(inode, [...runs]);
  else list.push(...runs);
}
