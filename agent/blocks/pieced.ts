import type { BlockExtent, BlockSource, MaybePromise } from "./block-source.ts";
import type { DiskError } from "./disk-error.ts";
import { chain } from "./maybe-promise.ts";
import { assertRange } from "./range.ts";

/** The next `length` bytes of a request, and where they come from: a source, zeros, or nowhere, with the reason. */
export interface Piece {
  readonly length: number;
  readonly from: BlockSource | "zeros" | DiskError;
  /** In `from`, where that is a source. */
  readonly offset: number;
}

/**
 * Where the bytes [offset, offset + length) lie: pieces in order that cover exactly `length`. The range is inside
 * the source and not empty.
 */
export type Locate = (offset: number, length: number) => MaybePromise<readonly Piece[]>;

/** A source put together from pieces of others: a logical volume, an array, a snapshot. */
export function pieced(sizeBytes: number, locate: Locate): BlockSource {
  return new Pieced(sizeBytes, locate);
}

/** Pieces of one source that follow one another there, though not in the request: read with one request. */
interface Run {
  readonly source: BlockSource;
  readonly offset: number;
  length: number;
  readonly parts: { readonly at: number; readonly length: number }[];
}

/** Requests under way at a time for one read; a read over thousands of fragments waits for its own. */
const maxParallelReads = 32;
/** Extents are asked for so many bytes at a time: an answer may stop short. */
const maxExtentBytes = 64 * 1024 * 1024;

class Pieced implements BlockSource {
  readonly sizeBytes: number;
  readonly #locate: Locate;

  constructor(sizeBytes: number, locate: Locate) {
    this.sizeBytes = sizeBytes;
    this.#locate = locate;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    if (length === 0) return new Uint8Array(0);
    return chain(this.#locate(offset, length), (pieces): MaybePromise<Uint8Array> => {
      const [only] = pieces;
      if (pieces.length === 1 && only !== undefined && typeof only.from === "object" && "read" in only.from) {
        return only.from.read(only.offset, length);
      }
      return joinPieces(pieces, length);
    });
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    if (target.length === 0) return;
    const pieces = await this.#locate(offset, target.length);
    const runs = toRuns(pieces, (at, length) => target.fill(0, at, at + length));
    for (let index = 0; index < runs.length; index += maxParallelReads) {
      await Promise.all(runs.slice(index, index + maxParallelReads).map((run) => readRun(run, target, signal)));
    }
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    if (length === 0) return [];
    const asked = Math.min(length, maxExtentBytes);
    const pieces = await this.#locate(offset, asked);
    const found: BlockExtent[] = [];
    let covered = asked;
    // What can't be read counts as data: the read itself tells why.
    const runs = toRuns(pieces, (at, size) => found.push({ offset: at, length: size, hole: true }), (at, size) => found.push({ offset: at, length: size, hole: false }));
    for (let index = 0; index < runs.length; index += maxParallelReads) {
      await Promise.all(
        runs.slice(index, index + maxParallelReads).map(async (run) => {
          const end = placeExtents(run, await run.source.extents(run.offset, run.length, signal), found);
          covered = Math.min(covered, end);
        }),
      );
    }
    return mergeExtents(found, offset, covered);
  }
}

/** Groups pieces into runs. Throws what a piece without a source carries, unless `onError` takes it. */
function toRuns(pieces: readonly Piece[], onZeros: (at: number, length: number) => void, onError?: (at: number, length: number) => void): Run[] {
  const runs: Run[] = [];
  const last = new Map<BlockSource, Run>();
  let at = 0;
  for (const { from, offset, length } of pieces) {
    if (from === "zeros") onZeros(at, length);
    else if (from instanceof Error) {
      if (onError === undefined) throw from;
      onError(at, length);
    } else {
      const run = last.get(from);
      if (run !== undefined && run.offset + run.length === offset) {
        run.length += length;
        run.parts.push({ at, length });
      } else {
        const next: Run = { source: from, offset, length, parts: [{ at, length }] };
        runs.push(next);
        last.set(from, next);
      }
    }
    at += length;
  }
  return runs;
}

async function readRun(run: Run, target: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  const [only] = run.parts;
  if (run.parts.length === 1 && only !== undefined) {
    return run.source.readInto(run.offset, target.subarray(only.at, only.at + only.length), signal);
  }
  const bytes = new Uint8Array(run.length);
  await run.source.readInto(run.offset, bytes, signal);
  let from = 0;
  for (const part of run.parts) {
    target.set(bytes.subarray(from, from + part.length), part.at);
    from += part.length;
  }
}

function joinPieces(pieces: readonly Piece[], length: number): MaybePromise<Uint8Array> {
  const target = new Uint8Array(length);
  const pending: Promise<void>[] = [];
  let at = 0;
  for (const piece of pieces) {
    const place = at;
    if (piece.from instanceof Error) throw piece.from;
    if (piece.from !== "zeros") {
      const bytes = piece.from.read(piece.offset, piece.length);
      if (bytes instanceof Promise) pending.push(bytes.then((ready) => target.set(ready, place)));
      else target.set(bytes, place);
    }
    at += piece.length;
  }
  return pending.length === 0 ? target : Promise.all(pending).then(() => target);
}

/** Turns extents of a run's source into extents of the request. Returns up to where the request is covered. */
function placeExtents(run: Run, extents: readonly BlockExtent[], found: BlockExtent[]): number {
  let start = run.offset;
  let index = 0;
  for (const part of run.parts) {
    let at = part.at;
    const end = start + part.length;
    while (start < end) {
      const extent = extents[index];
      if (extent === undefined) return at;
      const until = Math.min(end, extent.offset + extent.length);
      if (until > start) {
        found.push({ offset: at, length: until - start, hole: extent.hole });
        at += until - start;
        start = until;
      }
      if (until === extent.offset + extent.length) index += 1;
    }
  }
  return Infinity;
}

function mergeExtents(found: BlockExtent[], offset: number, covered: number): BlockExtent[] {
  found.sort((a, b) => a.offset - b.offset);
  const merged: BlockExtent[] = [];
  for (const extent of found) {
    const length = Math.min(extent.offset + extent.length, covered) - extent.offset;
    if (length <= 0) continue;
    const last = merged.at(-1);
    const start = offset + extent.offset;
    if (last !== undefined && last.hole === extent.hole) merged[merged.length - 1] = { ...last, length: last.length + length };
    else merged.push({ offset: start, length, hole: extent.hole });
  }
  return merged;
}
