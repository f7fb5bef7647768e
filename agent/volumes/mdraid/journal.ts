// The journal of a RAID 4, 5 or 6: what is written goes there first, with its parity. md replays it when it starts the
// array. Source: the kernel's include/uapi/linux/raid/md_p.h and drivers/md/raid5-cache.c; all numbers little-endian.
//
// A ring of blocks of 4096 bytes over the data of the journal's device. The superblock says where its tail lies. From
// there on, each metadata block is followed by the pages that it describes:
//   Offset | Size | Field    | Meaning
//   0      | 4    | magic    | 0x6433c509
//   4      | 4    | checksum | of the block with 0 here: crc32c from that of the array's uuid, without final inversions
//   8      | 1    | version  | 1
//   12     | 4    | size     | of the part in use, with these 32 bytes
//   16     | 8    | sequence | one more than that of the block before
//   24     | 8    | position | its own, in sectors
//   32     |      | payloads |
//
// A payload of data (type 0) or parity (1): type (2), flags (2), size in sectors (4), location (8), a checksum (4) for each
// page. Data is located in the array. A flush (2): type, flags, size of what follows in bytes; stripes that were written.
import type { BlockSource } from "../../blocks/block-source.ts";
import { lastAtOrBelow } from "../../blocks/concatenated.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";
import type { MdSuperblock } from "./superblock.ts";

const MAGIC = 0x6433c509;
const VERSION = 1;
const BLOCK = 4096;
const SECTOR = 512;
const HEADER_BYTES = 32;
const PAYLOAD_BYTES = 16;
const FLUSH_BYTES = 8;
const types = { data: 0, parity: 1, flush: 2 } as const;
/** md writes back when a quarter of the device is in use; what is read here is checked page by page. */
const MAX_REPLAY_BYTES = 1024 * 1024 * 1024;

/** Pages of the array → where in the journal their newest contents lie, in bytes. */
export type JournaledPages = ReadonlyMap<number, number>;

/**
 * What md would write into the array when it starts it. A block that was not written whole ends the journal; pages
 * that were not written whole are passed over with all that their block describes.
 * @param journal the data of the journal's device
 */
export async function readJournal(journal: BlockSource, { uuid, journalTail }: MdSuperblock, what: string): Promise<JournaledPages> {
  const seed = crc32cUpdate(0xffffffff, Buffer.from(uuid, "hex"), 0, 16);
  const ringBytes = Math.floor(journal.sizeBytes / BLOCK) * BLOCK;
  let position = journalTail * SECTOR;
  if (position % BLOCK !== 0 || position >= ringBytes) throw corrupt(`${what}: journal`, undefined, `tail at sector ${journalTail} of ${ringBytes / SECTOR}`);
  const pages = new Map<number, number>();
  let sequence: bigint | undefined;
  // Every turn takes a block or more of the ring, and each of them is taken once.
  for (let takenBytes = 0; takenBytes < ringBytes; ) {
    const block = parseBlock(Uint8Array.from(await journal.read(position, BLOCK)), position / SECTOR, seed, what);
    if (block === undefined || (sequence !== undefined && block.sequence !== sequence)) break;
    sequence = block.sequence + 1n;
    const payloadBytes = block.pages.length * BLOCK;
    if (takenBytes + payloadBytes > MAX_REPLAY_BYTES) throw unsupported(`${what}: a journal of more than ${MAX_REPLAY_BYTES} bytes that were not written back`);
    if (takenBytes + BLOCK + payloadBytes > ringBytes) break;
    const places = block.pages.map((_, index) => (position + (index + 1) * BLOCK) % ringBytes);
    if (await arePagesWhole(journal, block.pages, places, seed)) {
      for (const [index, { arrayOffset }] of block.pages.entries()) if (arrayOffset !== undefined) pages.set(arrayOffset, places[index]!);
    }
    position = (position + BLOCK + payloadBytes) % ringBytes;
    takenBytes += BLOCK + payloadBytes;
  }
  return pages;
}

interface Page {
  readonly checksum: number;
  /** Undefined for parity. */
  readonly arrayOffset: number | undefined;
}

/** Undefined where the journal ends. */
function parseBlock(bytes: Uint8Array, sector: number, seed: number, what: string): { sequence: bigint; pages: readonly Page[] } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK);
  if (view.getUint32(0, true) !== MAGIC || view.getUint8(8) !== VERSION || view.getBigUint64(24, true) !== BigInt(sector)) return undefined;
  const stored = view.getUint32(4, true);
  view.setUint32(4, 0, true);
  if (crc32cUpdate(seed, bytes, 0, BLOCK) >>> 0 !== stored) return undefined;
  const size = view.getUint32(12, true);
  if (size > BLOCK) return undefined;
  const wrong = (found: string) => corrupt(`${what}: journal`, sector * SECTOR, found);
  const pages: Page[] = [];
  for (let at = HEADER_BYTES; at + FLUSH_BYTES <= size; ) {
    const type = view.getUint16(at, true);
    const flags = view.getUint16(at + 2, true);
    const payloadSize = view.getUint32(at + 4, true);
    if (type === types.flush) {
      at += FLUSH_BYTES + payloadSize;
      continue;
    }
    const count = (payloadSize * SECTOR) / BLOCK;
    const end = at + PAYLOAD_BYTES + 4 * count;
    if ((type !== types.data && type !== types.parity) || flags !== 0) throw unsupported(`${what}: journal payload of type ${type}, flags ${flags}`);
    if (!Number.isInteger(count) || count < 1 || end > size) throw wrong(`a payload of ${payloadSize} sectors`);
    const location = Number(view.getBigUint64(at + 8, true)) * SECTOR;
    if (!Number.isSafeInteger(location) || location % BLOCK !== 0) throw wrong(`a payload for byte ${location}`);
    for (let page = 0; page < count; page += 1) {
      pages.push({ checksum: view.getUint32(at + PAYLOAD_BYTES + 4 * page, true), arrayOffset: type === types.data ? location + page * BLOCK : undefined });
    }
    at = end;
  }
  return { sequence: view.getBigUint64(16, true), pages };
}

async function arePagesWhole(journal: BlockSource, pages: readonly Page[], places: readonly number[], seed: number): Promise<boolean> {
  for (const [index, place] of places.entries()) {
    const bytes = await journal.read(place, BLOCK);
    if (crc32cUpdate(seed, bytes, 0, BLOCK) >>> 0 !== pages[index]!.checksum) return false;
  }
  return true;
}

/** The array as md would make it of its journal. */
export function replayed(array: BlockSource, journal: BlockSource, pages: JournaledPages, what: string): BlockSource {
  if (pages.size === 0) return array;
  const starts = [...pages.keys()].toSorted((a, b) => a - b);
  if (starts.at(-1)! + BLOCK > array.sizeBytes) throw corrupt(`${what}: journal`, undefined, `it changes byte ${starts.at(-1)} of ${array.sizeBytes}`);
  return pieced(array.sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const index = at < starts[0]! ? -1 : lastAtOrBelow(starts, at);
      const start = starts[index];
      const isJournaled = start !== undefined && at < start + BLOCK;
      const until = isJournaled ? start + BLOCK : (starts[index + 1] ?? Infinity);
      const count = Math.min(until, offset + length) - at;
      pieces.push(isJournaled ? { from: journal, offset: pages.get(start)! + at - start, length: count } : { from: array, offset: at, length: count });
      at += count;
    }
    return pieces;
  });
}
