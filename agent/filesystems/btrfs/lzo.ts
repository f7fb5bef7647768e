// LZO1X, as btrfs stores it. Source: the comment at the head of fs/btrfs/lzo.c: u32 total length; then segments, each
// of u32 length and a stream that decodes to at most one sector; a segment's length never lies across a sector's
// border.
import { corrupt, type DiskError } from "../../blocks/disk-error.ts";
import { decodeLzo1x } from "../lzo1x.ts";

export { decodeLzo1x as decodeLzo } from "../lzo1x.ts";

const lengthBytes = 4;
/** What the encoder may add to data it can't make smaller. */
const worstCase = (sectorBytes: number): number => sectorBytes + Math.floor(sectorBytes / 16) + 64 + 3;

function fail(found: string): DiskError {
  return corrupt("btrfs lzo data", undefined, found);
}

/** @param ramBytes length of the result; what the segments don't fill is zeros */
export function decodeLzoSegments(input: Buffer, ramBytes: number, sectorBytes: number): Buffer {
  const output = Buffer.alloc(ramBytes);
  if (input.length < lengthBytes) throw fail(`${input.length} bytes`);
  const total = input.readUInt32LE(0);
  if (total > input.length || total < lengthBytes) throw fail(`total length ${total} in ${input.length} bytes`);
  let written = 0;
  for (let at = lengthBytes; at < total && written < ramBytes; ) {
    const leftInSector = sectorBytes - (at % sectorBytes);
    if (leftInSector < lengthBytes) {
      at += leftInSector;
      if (at >= total) break;
    }
    if (at + lengthBytes > total) throw fail(`a segment's length lies behind the ${total} bytes`);
    const length = input.readUInt32LE(at);
    at += lengthBytes;
    if (length === 0 || length > worstCase(sectorBytes) || at + length > total) throw fail(`a segment of ${length} bytes at ${at} of ${total}`);
    written += decodeLzo1x(input.subarray(at, at + length), output.subarray(written, written + sectorBytes));
    at += length;
  }
  return output;
}
