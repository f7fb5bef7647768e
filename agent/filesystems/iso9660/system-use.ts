// The system use area of a directory record: a list of entries. Source: SUSP 1.12 (IEEE P1281).
//
//   Offset | Size | Field      | Meaning
//   0      | 2    | signature  | "SP", "CE", "ER", "ST" of SUSP itself; the others are Rock Ridge's (rock-ridge.ts)
//   2      | 1    | length     | of the entry, with these four bytes
//   3      | 1    | version    |
//   CE:
//   4      | 8    | block      | where the list goes on, both endians
//   12     | 8    | offset     | within that block
//   20     | 8    | length     |
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import type { BlockSource } from "../../blocks/block-source.ts";
import { toByteString } from "../byte-string.ts";
import { gather } from "../gather.ts";

const ENTRY_HEADER_BYTES = 4;
const CE_BYTES = 28;
/** Continuations of one list, against loops: Linux's bound. */
const MAX_CONTINUATIONS = 32;

export interface Continuation {
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

/** Takes one entry: its bytes begin with the signature. Throws "corrupt" for one that contradicts itself. */
export type EntryVisitor = (signature: string, entry: Uint8Array) => void;

/** A list that is being read. */
export interface SystemUseList {
  readonly visit: EntryVisitor;
  /** What is wrong with it; what was visited before stays. */
  damage: DiskError | undefined;
  readonly area: Uint8Array;
  /** Where the area lies in the volume, in bytes. */
  readonly offsetBytes: number;
}

/**
 * Visits all entries of many lists, continuations included: those of all lists with few reads. Damage and failed
 * reads are left in each list's `damage`.
 */
export async function readSystemUse(source: BlockSource, blockBytes: number, lists: readonly SystemUseList[]): Promise<void> {
  let pending = lists.flatMap((list) => {
    const next = visitArea(list, list.area, list.offsetBytes);
    return next === undefined ? [] : [{ list, next }];
  });
  for (let round = 1; pending.length > 0; round += 1) {
    const pieces = pending.map(({ list, next }) => {
      const offset = next.block * blockBytes + next.offset;
      const isInBlock = next.offset + next.length <= blockBytes;
      if (round > MAX_CONTINUATIONS) list.damage ??= corrupt("system use entry CE", offset, `more than ${MAX_CONTINUATIONS} continuations`);
      else if (!isInBlock) list.damage ??= corrupt("system use entry CE", offset, `${next.length} bytes from ${next.offset} on leave the block of ${blockBytes} bytes`);
      else if (offset + next.length > source.sizeBytes) list.damage ??= corrupt("system use entry CE", offset, `outside the volume of ${source.sizeBytes} bytes`);
      return { list, offset, length: next.length };
    });
    const sound = pieces.filter(({ list }) => list.damage === undefined);
    const found = await gather(source, sound);
    pending = sound.flatMap(({ list, offset }, index) => {
      const bytes = found[index]!;
      if (bytes instanceof DiskError) {
        list.damage = bytes;
        return [];
      }
      const next = visitArea(list, bytes, offset);
      return next === undefined ? [] : [{ list, next }];
    });
  }
}

/** The continuation that the area ends with, if it does. */
function visitArea(list: SystemUseList, area: Uint8Array, offsetBytes: number): Continuation | undefined {
  let next: Continuation | undefined;
  // One or two bytes may be left over as padding.
  for (let at = 0; area.length - at > 2; ) {
    const length = area[at + 2]!;
    const signature = toByteString(area, at, at + 2);
    if (signature === "ST" || (length === 0 && signature === "\0\0")) break;
    if (length < ENTRY_HEADER_BYTES || at + length > area.length) {
      list.damage ??= corrupt("system use entry", offsetBytes + at, `${length} bytes long, expected 4 to ${area.length - at}`);
      return undefined;
    }
    const entry = area.subarray(at, at + length);
    try {
      if (signature === "CE") next = parseContinuation(entry, offsetBytes + at);
      else list.visit(signature, entry);
    } catch (error) {
      list.damage ??= toDiskError(error);
      return undefined;
    }
    at += length;
  }
  return next;
}

function parseContinuation(entry: Uint8Array, offsetBytes: number): Continuation | undefined {
  if (entry.length < CE_BYTES) throw corrupt("system use entry CE", offsetBytes, `${entry.length} bytes long, expected ${CE_BYTES}`);
  const view = new DataView(entry.buffer, entry.byteOffset, entry.length);
  const next = { block: view.getUint32(4, true), offset: view.getUint32(12, true), length: view.getUint32(20, true) };
  return next.block === 0 || next.length === 0 ? undefined : next;
}
