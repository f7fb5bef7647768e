// The exception store of a classic snapshot. Source: the Linux kernel's drivers/md/dm-snap-persistent.c; all numbers
// little-endian.
//
// Chunk 0:
//   Offset | Size | Field      | Meaning
//   0      | 4    | magic      | 0x70416e53 ("SnAp")
//   4      | 4    | valid      | 0 once the store ran full
//   8      | 4    | version    | 1
//   12     | 4    | chunk size | in sectors
//
// Then areas: one chunk of exceptions, followed by as many chunks of data as it has exceptions. An exception is two
// numbers of 8 bytes, the chunk of the origin and the chunk of the store that has its contents; 0 as the second ends all.
import type { BlockSource } from "../../blocks/block-source.ts";
import { lastAtOrBelow } from "../../blocks/concatenated.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";

const MAGIC = 0x70416e53;
const HEADER_BYTES = 16;
const EXCEPTION_BYTES = 16;
/** Runs of chunks kept in memory: 24 bytes each. */
const MAX_RUNS = 4_000_000;
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;

/** The origin as it was when the snapshot was made, with what was written to the snapshot since. @param what for messages */
export async function openSnapshot(origin: BlockSource, store: BlockSource, chunkBytes: number, what: string): Promise<BlockSource> {
  const header = await store.read(0, HEADER_BYTES);
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  const wrong = (found: string) => corrupt(`${what}: snapshot store`, 0, found);
  const magic = view.getUint32(0, true);
  if (magic !== MAGIC) throw wrong(`magic 0x${magic.toString(16)}, expected 0x${MAGIC.toString(16)}`);
  if (view.getUint32(8, true) !== 1) throw unsupported(`${what}: snapshot store version ${view.getUint32(8, true)}`);
  if (view.getUint32(4, true) === 0) throw unsupported(`${what}: the snapshot is invalid: its store had run full`);
  if (view.getUint32(12, true) * 512 !== chunkBytes) throw wrong(`chunks of ${view.getUint32(12, true)} sectors, but ${chunkBytes} bytes in the group's metadata`);
  if (chunkBytes < 512 || chunkBytes > MAX_CHUNK_BYTES || (chunkBytes & (chunkBytes - 1)) !== 0) throw wrong(`chunks of ${chunkBytes} bytes`);
  const runs = await readExceptions(store, chunkBytes, what);
  return pieced(origin.sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const { from, position, until } = runs.find(at);
      const count = Math.min(until, offset + length) - at;
      pieces.push({ from: from === "store" ? store : origin, offset: position, length: count });
      at += count;
    }
    return pieces;
  });
}

async function readExceptions(store: BlockSource, chunkBytes: number, what: string): Promise<ExceptionRuns> {
  const perArea = chunkBytes / EXCEPTION_BYTES;
  const storeChunks = Math.floor(store.sizeBytes / chunkBytes);
  const found = new Map<number, number>();
  const chunk = new Uint8Array(chunkBytes);
  const view = new DataView(chunk.buffer);
  // The store ends the loop: each area lies behind the last.
  for (let area = 0; ; area += 1) {
    const areaChunk = 1 + area * (perArea + 1);
    if (areaChunk >= storeChunks) break;
    await store.readInto(areaChunk * chunkBytes, chunk);
    for (let at = 0; at < chunkBytes; at += EXCEPTION_BYTES) {
      const to = Number(view.getBigUint64(at + 8, true));
      if (to === 0) return new ExceptionRuns(found, chunkBytes);
      const from = Number(view.getBigUint64(at, true));
      if (to >= storeChunks || !Number.isSafeInteger(from * chunkBytes)) {
        throw corrupt(`${what}: snapshot store`, areaChunk * chunkBytes + at, `chunk ${from} at chunk ${to} of ${storeChunks}`);
      }
      found.set(from, to);
      if (found.size > MAX_RUNS) throw unsupported(`${what}: more than ${MAX_RUNS} chunks in the snapshot`);
    }
  }
  return new ExceptionRuns(found, chunkBytes);
}

/** Chunks that differ from the origin, joined where they follow one another in both places. */
class ExceptionRuns {
  readonly #chunkBytes: number;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #targets: Float64Array;

  constructor(found: ReadonlyMap<number, number>, chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    const chunks = Float64Array.from(found.keys()).sort();
    const starts: number[] = [];
    const ends: number[] = [];
    const targets: number[] = [];
    for (const chunk of chunks) {
      const target = found.get(chunk)!;
      const last = starts.length - 1;
      if (last >= 0 && ends[last] === chunk && targets[last]! + (chunk - starts[last]!) === target) ends[last] = chunk + 1;
      else {
        starts.push(chunk);
        ends.push(chunk + 1);
        targets.push(target);
      }
    }
    this.#starts = Float64Array.from(starts);
    this.#ends = Float64Array.from(ends);
    this.#targets = Float64Array.from(targets);
  }

  /** Where the byte at `offset` lies, and up to which byte the answer holds. */
  find(offset: number): { from: "store" | "origin"; position: number; until: number } {
    const size = this.#chunkBytes;
    const chunk = Math.floor(offset / size);
    const index = this.#starts.length === 0 || this.#starts[0]! > chunk ? -1 : lastAtOrBelow(this.#starts, chunk);
    if (index >= 0 && chunk < this.#ends[index]!) {
      return { from: "store", position: offset + (this.#targets[index]! - this.#starts[index]!) * size, until: this.#ends[index]! * size };
    }
    const next = this.#starts[index + 1];
    return { from: "origin", position: offset, until: next === undefined ? Infinity : next * size };
  }
}
