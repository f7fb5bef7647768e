// LZ4 blocks. Source: lz4_Block_format.md of the LZ4 project. A block is a row of sequences:
//
//   Size | Meaning
//   1    | token: high 4 bits literal count, low 4 bits match length − 4; 15 goes on in bytes added up to the first below 255
//   n    | literals; the last sequence ends here
//   2    | distance back to the match, little-endian, not 0
import { corrupt, type DiskError } from "../blocks/disk-error.ts";

const MIN_MATCH = 4;

/** @returns the number of bytes written to the start of `output`. Throws "corrupt" for what leaves its input or output. */
export function decodeLz4(input: Uint8Array, output: Uint8Array): number {
  let read = 0;
  let written = 0;
  const byte = (): number => {
    if (read >= input.length) throw fail("it ends in the middle of a sequence");
    return input[read++]!;
  };
  const length = (nibble: number): number => {
    let total = nibble;
    // The input bounds the loop.
    for (let next = nibble === 15 ? 255 : 0; next === 255; ) total += next = byte();
    return total;
  };
  while (read < input.length) {
    const token = byte();
    const literals = length(token >>> 4);
    if (read + literals > input.length || written + literals > output.length) throw fail(`${literals} literals at ${read} of ${input.length}`);
    output.set(input.subarray(read, read + literals), written);
    read += literals;
    written += literals;
    if (read === input.length) return written;
    const distance = byte() + byte() * 256;
    const count = length(token & 15) + MIN_MATCH;
    if (distance === 0 || distance > written || written + count > output.length) throw fail(`a match of ${count} bytes ${distance} back at ${written} of ${output.length}`);
    if (distance >= count) output.copyWithin(written, written - distance, written - distance + count);
    // Byte by byte where the match reaches into what it writes.
    else for (let index = 0; index < count; index += 1) output[written + index] = output[written + index - distance]!;
    written += count;
  }
  throw fail("it doesn't end with literals");
}

function fail(found: string): DiskError {
  return corrupt("lz4 data", undefined, found);
}
