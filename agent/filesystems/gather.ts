import type { BlockSource } from "../blocks/block-source.ts";
import { DiskError, toDiskError } from "../blocks/disk-error.ts";

/** Reading over a gap this wide costs less than another request. */
const maxGapBytes = 32 * 1024;
const maxReadBytes = 1024 * 1024;
const readsInFlight = 16;

/**
 * Reads many pieces of a source at once: neighbours with one request, several requests in flight.
 * @returns the bytes of each piece in the order asked, or the DiskError that stands in their place
 */
export async function gather(
  source: BlockSource, pieces: readonly { readonly offset: number; readonly length: number }[],
): Promise<(Uint8Array | DiskError)[]> {
  const results = new Array<Uint8Array | DiskError>(pieces.length);
  const order = pieces.map((_, index) => index).sort((a, b) => pieces[a]!.offset - pieces[b]!.offset);
  const groups: number[][] = [];
  let groupStart = 0;
  let groupEnd = -Infinity;
  for (const index of order) {
    const { offset, length } = pieces[index]!;
    if (offset > groupEnd + maxGapBytes || offset + length > groupStart + maxReadBytes) {
      groups.push([]);
      groupStart = offset;
      groupEnd = offset;
    }
    groups.at(-1)!.push(index);
    groupEnd = Math.max(groupEnd, offset + length);
  }

  const readGroup = async (group: number[]): Promise<void> => {
    const start = pieces[group[0]!]!.offset;
    const end = Math.max(...group.map((index) => pieces[index]!.offset + pieces[index]!.length));
    try {
      const read = source.read(start, end - start);
      const bytes = read instanceof Promise ? await read : read;
      for (const index of group) {
        const { offset, length } = pieces[index]!;
        results[index] = bytes.subarray(offset - start, offset - start + length);
      }
    } catch (error) {
      if (group.length === 1) results[group[0]!] = toDiskError(error);
      // One bad sector must not take its neighbours along.
      else for (const index of group) await readGroup([index]);
    }
  };

  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < groups.length) await readGroup(groups[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(readsInFlight, groups.length) }, worker));
  return results;
}
