import type { BlockSource } from "../../blocks/block-source.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";

/**
 * RAID 0 over members of equal size: chunk after chunk, one member after another.
 * @param chunkBytes of one chunk, 512 or more
 * @param sizeBytes of the whole; each member holds its share of it
 */
export function striped(members: readonly BlockSource[], chunkBytes: number, sizeBytes: number): BlockSource {
  return pieced(sizeBytes, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const chunk = Math.floor(at / chunkBytes);
      const within = at - chunk * chunkBytes;
      const stripe = Math.floor(chunk / members.length);
      const count = Math.min(chunkBytes - within, offset + length - at);
      pieces.push({ from: members[chunk - stripe * members.length]!, offset: stripe * chunkBytes + within, length: count });
      at += count;
    }
    return pieces;
  });
}
