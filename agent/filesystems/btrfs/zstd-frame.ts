// Where a zstd frame ends: RFC 8878, section 3.1.1. Behind it an extent is filled up, with zeros or, by old
// kernels, with anything.
import { corrupt } from "../../blocks/disk-error.ts";

const magic = 0xfd2fb528;
const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeBytes = [0, 2, 4, 8] as const;
const runLengthBlock = 1;
const reservedBlock = 3;

/** Length of the frame at the start of the bytes. Throws "corrupt" where there is none or it is cut short. */
export function measureZstdFrame(bytes: Buffer): number {
  const fail = (found: string) => corrupt("btrfs zstd data", undefined, found);
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== magic) throw fail("it doesn't begin with a frame");
  const descriptor = bytes[4]!;
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  let at = 5 + (singleSegment ? 0 : 1) + dictionaryIdBytes[descriptor & 3]! + (sizeFlag === 0 && singleSegment ? 1 : contentSizeBytes[sizeFlag]!);
  // Every block takes at least its header, so the input bounds the loop.
  for (;;) {
    if (at + 3 > bytes.length) throw fail("the frame is cut short");
    const header = bytes.readUIntLE(at, 3);
    const type = (header >> 1) & 3;
    if (type === reservedBlock) throw fail("a block of reserved type");
    at += 3 + (type === runLengthBlock ? 1 : header >> 3);
    if ((header & 1) !== 0) break;
  }
  if ((descriptor & 4) !== 0) at += 4;
  if (at > bytes.length) throw fail("the frame is cut short");
  return at;
}
