// RAID 10 of the Linux md driver. Source: drivers/md/raid10.c and md(4).
//
// The layout number: bits 0-7 near copies (side by side in a stripe), bits 8-15 far copies (in other sections of the
// members), bit 16: the far copies lie in the next chunk row ("offset"), bits 17-18: how far copies choose members.
import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError, unsupported } from "../../blocks/disk-error.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";
import type { BadRanges } from "./bad-ranges.ts";

export interface Raid10Geometry {
  readonly members: number;
  readonly nearCopies: number;
  readonly farCopies: number;
  /** Far copies choose members within sets of this size. */
  readonly farSetSize: number;
  readonly isOffset: boolean;
  readonly chunkBytes: number;
  /** From one far copy to the next on a member. */
  readonly strideBytes: number;
  readonly sizeBytes: number;
}

/** @param memberBytes what each member has for data. Throws "unsupported" for a layout it doesn't know. */
export function raid10Geometry(layout: number, members: number, chunkBytes: number, memberBytes: number): Raid10Geometry {
  const nearCopies = layout & 0xff;
  const farCopies = (layout >>> 8) & 0xff;
  const isOffset = (layout & 0x10000) !== 0;
  const sets = layout >>> 17;
  const copies = nearCopies * farCopies;
  if (copies === 0 || copies > members || sets > 2) throw unsupported(`md RAID 10 layout 0x${layout.toString(16)} over ${members} members`);
  const farSetSize = sets === 0 ? members : sets === 1 ? Math.floor(members / farCopies) : copies;
  // Whole chunks in the array, then the chunks that they take on each member.
  const chunks = Math.floor((Math.floor(Math.floor(memberBytes / chunkBytes) / farCopies) * members) / nearCopies);
  const usedChunks = Math.ceil((chunks * copies) / members);
  const strideBytes = isOffset ? chunkBytes : Math.floor(usedChunks / farCopies) * chunkBytes;
  return { members, nearCopies, farCopies, farSetSize, isOffset, chunkBytes, strideBytes, sizeBytes: chunks * chunkBytes };
}

export interface Raid10Place {
  readonly slot: number;
  readonly offset: number;
}

/** All places of a chunk, from the one that is read first. */
export function raid10Places(geometry: Raid10Geometry, chunk: number): Raid10Place[] {
  const { members, nearCopies, farCopies, farSetSize, isOffset, chunkBytes, strideBytes } = geometry;
  const first = chunk * nearCopies;
  let slot = first % members;
  let row = Math.floor(first / members) * (isOffset ? farCopies : 1);
  const lastSetStart = (Math.floor(members / farSetSize) - 1) * farSetSize;
  const lastSetSize = farSetSize + (members % farSetSize);
  const places: Raid10Place[] = [];
  for (let near = 0; near < nearCopies; near += 1) {
    let at = slot;
    let offset = row * chunkBytes;
    places.push({ slot: at, offset });
    for (let far = 1; far < farCopies; far += 1) {
      const set = Math.floor(at / farSetSize);
      at += nearCopies;
      if (members % farSetSize !== 0 && at > lastSetStart) at = ((at - lastSetStart) % lastSetSize) + lastSetStart;
      else at = (at % farSetSize) + farSetSize * set;
      offset += strideBytes;
      places.push({ slot: at, offset });
    }
    slot += 1;
    if (slot >= members) {
      slot = 0;
      row += 1;
    }
  }
  return places;
}

/** True when every chunk has a copy on some member that is there. */
export function isRaid10Complete(geometry: Raid10Geometry, isPresent: (slot: number) => boolean): boolean {
  // The pattern repeats after as many chunks as there are members.
  const chunks = Math.min(geometry.members, geometry.sizeBytes / geometry.chunkBytes);
  for (let chunk = 0; chunk < chunks; chunk += 1) {
    if (!raid10Places(geometry, chunk).some((place) => isPresent(place.slot))) return false;
  }
  return true;
}

/**
 * Reads each chunk from the first of its places whose member is there and good; see `isRaid10Complete`.
 * @param bad by slot: bytes that must not be read from a member
 */
export function raid10(members: readonly (BlockSource | undefined)[], geometry: Raid10Geometry, sizeBytes: number, bad: readonly (BadRanges | undefined)[] = []): BlockSource {
  const { chunkBytes } = geometry;
  return pieced(sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const chunk = Math.floor(at / chunkBytes);
      const within = at - chunk * chunkBytes;
      let until = Math.min(chunkBytes - within, offset + length - at);
      const places = raid10Places(geometry, chunk).filter(({ slot }) => members[slot] !== undefined);
      const place = places.find((one) => {
        const found = bad[one.slot]?.at(one.offset + within);
        if (found !== undefined) until = Math.min(until, found.until - one.offset - within);
        return found?.isBad !== true;
      });
      if (place !== undefined) pieces.push({ from: members[place.slot]!, offset: place.offset + within, length: until });
      else if (places.length === 0) pieces.push({ from: unsupported(`RAID 10: no copy of chunk ${chunk} is left`), offset: 0, length: until });
      else pieces.push({ from: new DiskError("io_error", `RAID 10: chunk ${chunk} was lost in the guest: the logs of bad blocks name all its copies`), offset: 0, length: until });
      at += until;
    }
    return pieces;
  });
}
