import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import { asBuffer, byteStringToBytes, type ByteString } from "../byte-string.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import { gather } from "../gather.ts";
import type { Contents } from "./contents.ts";
import { parseDirectoryBlock } from "./directory-block.ts";
import { damagedBlock, type DirectoryFormat } from "./directory-entry.ts";
import { parseShortform } from "./directory-shortform.ts";
import { hole } from "./extent-record.ts";
import { forkFormats } from "./inode.ts";
import type { BlockRun } from "./block-runs.ts";

/** Directory blocks fetched together: their reads go out at once, and their entries make one batch. */
const windowBytes = 512 * 1024;

/** Here the index begins: XFS_DIR2_LEAF_OFFSET of Linux. Below it lie the entries. */
const indexOffsetBytes = 32 * 2 ** 30;

type Entries = DirectoryEntry<number>[];

/** The entries of a directory in on-disk order, a batch a window of blocks. */
export async function* readEntries(contents: Contents, format: DirectoryFormat): AsyncGenerator<Entries> {
  if (format.directory.data.format === forkFormats.local) {
    yield parseShortform(format);
    return;
  }
  // The next window is read while the caller handles this one.
  const windows = readWindows(contents, format);
  let next = windows.next();
  next.catch(ignore);
  for (;;) {
    const window = await next;
    if (window.done === true) return;
    next = windows.next();
    next.catch(ignore);
    const entries: Entries = [];
    for (const piece of window.value) parsePiece(format, piece, entries);
    if (entries.length > 0) yield entries;
  }
}

function ignore(): void {
  // Awaited in its turn; this only keeps an early failure from counting as unhandled.
}

function parsePiece(format: DirectoryFormat, piece: Piece, entries: Entries): void {
  if (piece.content instanceof DiskError) entries.push(damagedBlock(piece.block, piece.content));
  else parseDirectoryBlock(format, piece.content, piece.block, piece.offsetBytes, piece.isChecksummed, entries);
}

/** A directory block. */
interface Piece {
  readonly block: number;
  readonly offsetBytes: number;
  readonly isChecksummed: boolean;
  content: Buffer | DiskError;
}

interface Part {
  readonly offset: number;
  readonly length: number;
}

/** A directory block as it lies on the disk: in one part, where it is larger than a block perhaps in several. */
interface Place {
  readonly block: number;
  readonly parts: Part[];
  missing: number;
}

/** The blocks of a directory, window by window. Holes are normal: a block without entries is given back. */
async function* readWindows(contents: Contents, format: DirectoryFormat): AsyncGenerator<Piece[]> {
  const { directory, superblock } = format;
  const perWindow = Math.max(1, windowBytes / superblock.directoryBlockSizeBytes);
  const fail = (found: string) => corrupt(`XFS directory inode ${directory.number}`, directory.offsetBytes, found);
  // Bounded: a directory can't have more blocks than the filesystem.
  let budget = superblock.blockCount;
  let places: Place[] = [];
  for await (const place of findPlaces(contents, format)) {
    if (place instanceof DiskError) {
      yield await readPlaces(contents, format, places);
      yield [{ block: places.at(-1)?.block ?? 0, offsetBytes: 0, isChecksummed: false, content: place }];
      return;
    }
    places.push(place);
    budget -= 1;
    if (budget < 0) throw fail("more blocks than the filesystem has");
    if (places.length < perWindow) continue;
    yield await readPlaces(contents, format, places);
    places = [];
  }
  if (places.length > 0) yield await readPlaces(contents, format, places);
}

/** Where the blocks lie, in order; a DiskError in place of all that follows it. */
async function* findPlaces(contents: Contents, format: DirectoryFormat): AsyncGenerator<Place | DiskError> {
  const { directory, superblock } = format;
  const blockSize = superblock.blockSizeBytes;
  const perDirectoryBlock = superblock.directoryBlockSizeBytes / blockSize;
  const end = indexOffsetBytes / blockSize;
  let place: Place | undefined;
  for (let position = 0; position < end; ) {
    let runs: BlockRun[];
    try {
      const mapped = contents.map(directory, directory.data, position, end);
      runs = mapped instanceof Promise ? await mapped : mapped;
    } catch (error) {
      // What the broken part of the map covered is unknown, so nothing after it can be found.
      if (place !== undefined) yield place;
      yield toDiskError(error);
      return;
    }
    for (const run of runs) {
      position = run.logical + run.count;
      if (run.offsetBytes === hole) continue;
      for (let done = 0; done < run.count; ) {
        const logical = run.logical + done;
        const block = Math.floor(logical / perDirectoryBlock);
        if (place?.block !== block) {
          if (place !== undefined) yield place;
          place = { block, parts: [], missing: perDirectoryBlock };
        }
        const count = Math.min(run.count - done, (block + 1) * perDirectoryBlock - logical);
        place.parts.push({ offset: run.offsetBytes + done * blockSize, length: count * blockSize });
        place.missing -= count;
        done += count;
      }
    }
  }
  if (place !== undefined) yield place;
}

async function readPlaces(contents: Contents, format: DirectoryFormat, places: readonly Place[]): Promise<Piece[]> {
  const read = await gather(contents.source, places.flatMap((place) => place.parts));
  let next = 0;
  return places.map((place) => {
    const parts = read.slice(next, next + place.parts.length);
    next += place.parts.length;
    // The log holds each part on its own, and the checksum of the whole in none of them.
    const isChecksummed = place.parts.length === 1 || !place.parts.some((part) => contents.isReplayed(part.offset));
    const piece = { block: place.block, offsetBytes: place.parts[0]!.offset, isChecksummed };
    const failed = parts.find((part) => part instanceof DiskError);
    if (failed !== undefined) return { ...piece, content: failed };
    if (place.missing > 0) {
      const found = `no blocks for a part of its block ${place.block}`;
      return { ...piece, content: corrupt(`XFS directory inode ${format.directory.number}`, format.directory.offsetBytes, found) };
    }
    const [first] = parts as Uint8Array[];
    return { ...piece, content: parts.length === 1 ? asBuffer(first!) : Buffer.concat(parts as Uint8Array[]) };
  });
}

/** One name: the same bytes, else in a case-insensitive filesystem the first name that differs in case alone. */
export async function findEntry(contents: Contents, format: DirectoryFormat, name: ByteString): Promise<DirectoryEntry<number> | undefined> {
  const folded = format.superblock.caseInsensitive ? foldCase(name) : undefined;
  let alike: DirectoryEntry<number> | undefined;
  const search = (entries: readonly DirectoryEntry<number>[]): DirectoryEntry<number> | undefined => {
    for (const entry of entries) {
      if (entry.name === name) return entry;
      if (folded !== undefined && alike === undefined && foldCase(entry.name) === folded) alike = entry;
    }
    return undefined;
  };
  if (format.directory.data.format === forkFormats.local) return search(parseShortform(format)) ?? alike;
  const wanted = byteStringToBytes(name);
  for await (const pieces of readWindows(contents, format)) {
    for (const piece of pieces) {
      // Most blocks don't hold the bytes of the name at all, and needn't be parsed; made-up names begin with "#".
      const isParsed = folded !== undefined || name.startsWith("#") || piece.content instanceof DiskError || piece.content.includes(wanted);
      if (!isParsed) continue;
      const entries: Entries = [];
      parsePiece(format, piece, entries);
      const found = search(entries);
      if (found !== undefined) return found;
    }
  }
  return alike;
}

/** As Linux folds since 6.4, whatever the encoding of the name: ASCII letters, and bytes that are letters of Latin-1. */
function foldCase(name: ByteString): ByteString {
  return name.replace(/[A-Z\xc0-\xd6\xd8-\xde]+/g, (letters) => letters.toLowerCase());
}
