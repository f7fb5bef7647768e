import { type DiskError, corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { asBuffer, byteStringToBytes, type ByteString } from "../byte-string.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import { hole, type BlockRun } from "./block-runs.ts";
import { foldCase } from "./casefold.ts";
import type { Contents } from "./contents.ts";
import { damagedBlock, noInode, parseDirectoryBlock, parseEntries, type DirectoryFormat } from "./directory-block.ts";
import type { DirectoryChange, FastCommitChanges } from "./fast-commit-changes.ts";
import { gather } from "../gather.ts";
import { inodeFlags } from "./inode.ts";
import { readInlineParts } from "./inline-data.ts";

/** Directory blocks fetched together: their reads go out at once, and their entries make one batch. */
const windowBytes = 512 * 1024;

/** Four times what a directory without large_dir can have, some hundred million names. */
const maxDirectoryBlocks = 4 * 1024 * 1024;

/** Damaged places listed one by one; a directory with more of them is given up. */
const maxDamagedBlocks = 4096;

/** An inline directory begins with the number of its parent. */
const inlineParentBytes = 4;

type Entries = DirectoryEntry<number>[];

/** The entries of a directory in on-disk order, a batch a window of blocks. */
export async function* readEntries(contents: Contents, format: DirectoryFormat, changes: FastCommitChanges): AsyncGenerator<Entries> {
  const change = changes.directories.get(format.directory.number);
  if (change?.created !== true) {
    for await (const entries of readStoredEntries(contents, format)) {
      yield change === undefined ? entries : entries.filter((entry) => !change.removed.has(entry.name) && !change.added.has(entry.name));
    }
  }
  if (change !== undefined && change.added.size > 0) yield addedEntries(change);
}

function addedEntries(change: DirectoryChange): Entries {
  return Array.from(change.added, ([name, { inode, type }]) => ({ name, node: inode, type }));
}

async function* readStoredEntries(contents: Contents, format: DirectoryFormat): AsyncGenerator<Entries> {
  if ((format.directory.flags & inodeFlags.inlineData) !== 0) {
    yield parseInline(format);
    return;
  }
  // The next window is read while the caller handles this one.
  const windows = readWindows(contents, format);
  let next = windows.next();
  next.catch(ignore);
  let damagedBlocks = 0;
  for (;;) {
    const window = await next;
    if (window.done === true) return;
    next = windows.next();
    next.catch(ignore);
    const entries: Entries = [];
    for (const piece of window.value) {
      if (piece.error !== undefined) entries.push(damagedBlock(piece.block, piece.error));
      else parseDirectoryBlock(format, piece.bytes, piece.block, piece.offsetBytes, entries);
      if (entries.at(-1)?.node === noInode) damagedBlocks++;
    }
    if (entries.length > 0) yield entries;
    if (damagedBlocks > maxDamagedBlocks) {
      throw corrupt(`ext4 directory inode ${format.directory.number}`, format.directory.offsetBytes, `more than ${maxDamagedBlocks} damaged blocks`);
    }
  }
}

function ignore(): void {
  // Awaited in its turn; this only keeps an early failure from counting as unhandled.
}

interface Piece {
  readonly block: number;
  readonly offsetBytes: number;
  readonly bytes: Buffer;
  readonly error?: DiskError;
}

const noBytes = Buffer.alloc(0);

/** The blocks of a directory, window by window. A hole is damage, and stands once for all its blocks. */
async function* readWindows(contents: Contents, format: DirectoryFormat): AsyncGenerator<Piece[]> {
  const { directory, superblock } = format;
  const size = superblock.blockSizeBytes;
  const blockCount = Math.ceil(Number(directory.size) / size);
  let budget = Math.min(superblock.blockCount, maxDirectoryBlocks);
  const perWindow = Math.max(1, windowBytes / size);
  for (let position = 0; position < blockCount; ) {
    const pieces: Piece[] = [];
    const wanted: { offset: number; length: number; piece: number }[] = [];
    const damaged = (block: number, error: DiskError) => pieces.push({ block, offsetBytes: 0, bytes: noBytes, error });
    for (let used = 0; used < perWindow && position < blockCount; ) {
      let runs: BlockRun[];
      try {
        const mapped = contents.map(directory, position, blockCount);
        runs = mapped instanceof Promise ? await mapped : mapped;
      } catch (error) {
        // What the broken part of the map covered is unknown, so nothing after it can be found.
        damaged(position, toDiskError(error));
        position = blockCount;
        break;
      }
      for (const run of runs) {
        if (used >= perWindow) break;
        if (run.physical === hole) {
          damaged(run.logical, corrupt(`ext4 directory inode ${directory.number}`, directory.offsetBytes, `no blocks for its blocks ${run.logical} to ${run.logical + run.count - 1}`));
          used++;
          position = run.logical + run.count;
          continue;
        }
        const count = Math.min(run.count, perWindow - used);
        for (let i = 0; i < count; i++) {
          const offsetBytes = (run.physical + i) * size;
          wanted.push({ offset: offsetBytes, length: size, piece: pieces.length });
          pieces.push({ block: run.logical + i, offsetBytes, bytes: noBytes });
        }
        used += count;
        position = run.logical + count;
      }
    }
    budget -= pieces.length;
    if (budget < 0) throw corrupt(`ext4 directory inode ${directory.number}`, directory.offsetBytes, "more blocks than the filesystem or any directory has");
    const read = await gather(contents.source, wanted);
    read.forEach((bytes, i) => {
      const index = wanted[i]!.piece;
      const piece = pieces[index]!;
      pieces[index] = bytes instanceof Uint8Array ? { ...piece, bytes: asBuffer(bytes) } : { ...piece, error: bytes };
    });
    yield pieces;
  }
}

function parseInline(format: DirectoryFormat): Entries {
  const { directory } = format;
  const entries: Entries = [];
  const { first, second } = readInlineParts(directory);
  parseEntries(format, first, inlineParentBytes, 0, directory.offsetBytes, undefined, entries);
  if (second.length > 0) parseEntries(format, second, 0, 1, directory.offsetBytes, undefined, entries);
  return entries;
}

/** One name: the same bytes, else in a casefold directory the first name that folds to the same. */
export async function findEntry(
  contents: Contents, format: DirectoryFormat, changes: FastCommitChanges, name: ByteString,
): Promise<DirectoryEntry<number> | undefined> {
  const change = changes.directories.get(format.directory.number);
  const added = change?.added.get(name);
  if (added !== undefined) return { name, node: added.inode, type: added.type };
  const folds = (format.directory.flags & inodeFlags.casefold) !== 0;
  const sought = folds ? foldCase(name) : undefined;
  const plain = format.showEncryptedName === undefined && !folds;
  const wanted = byteStringToBytes(name);
  let alike: DirectoryEntry<number> | undefined;

  const search = (entries: readonly DirectoryEntry<number>[]): DirectoryEntry<number> | undefined => {
    for (const entry of entries) {
      if (entry.name === name) return entry;
      if (sought !== undefined && alike === undefined && foldCase(entry.name) === sought) alike = entry;
    }
    return undefined;
  };

  if (plain && change === undefined && (format.directory.flags & inodeFlags.inlineData) === 0) {
    // Most blocks don't hold the bytes of the name at all, and needn't be parsed.
    for await (const pieces of readWindows(contents, format)) {
      for (const piece of pieces) {
        const entries: Entries = [];
        if (piece.error !== undefined) entries.push(damagedBlock(piece.block, piece.error));
        else if (piece.bytes.includes(wanted) || name.startsWith("#")) {
          parseDirectoryBlock(format, piece.bytes, piece.block, piece.offsetBytes, entries);
        }
        const found = search(entries);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }
  for await (const entries of readEntries(contents, format, changes)) {
    const found = search(entries);
    if (found !== undefined) return found;
  }
  return alike;
}
