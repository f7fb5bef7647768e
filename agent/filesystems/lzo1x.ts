// LZO1X streams. Source: the Linux kernel's Documentation/staging/lzo.rst.
import { corrupt, type DiskError } from "../blocks/disk-error.ts";

function fail(found: string): DiskError {
  return corrupt("lzo data", undefined, found);
}

/**
 * Decodes one LZO1X stream.
 * @returns the number of bytes written to the start of `output`. Throws "corrupt" on a stream that
 * reaches outside its input or output, or doesn't end with its end mark.
 */
export function decodeLzo1x(input: Uint8Array, output: Uint8Array): number {
  let read = 0;
  let written = 0;

  const byte = (): number => {
    if (read >= input.length) throw fail("it ends in the middle of an instruction");
    return input[read++]!;
  };
  /** A length whose low bits are 0 goes on in further bytes: 255 for each zero, and the first other one. Input bounds the loop. */
  const longLength = (base: number): number => {
    let length = base;
    for (let next = byte(); ; next = byte()) {
      if (next !== 0) return length + next;
      length += 255;
    }
  };
  const literals = (count: number): void => {
    if (read + count > input.length || written + count > output.length) throw fail(`${count} literal bytes at ${read} of ${input.length}`);
    for (let i = 0; i < count; i++) output[written + i] = input[read + i]!;
    read += count;
    written += count;
  };
  const match = (distance: number, count: number): void => {
    if (distance > written || written + count > output.length) throw fail(`a match ${distance} bytes back at ${written} of ${output.length}`);
    // Byte by byte: the match may reach into what it writes.
    for (let i = 0; i < count; i++, written++) output[written] = output[written - distance]!;
  };

  /** Literals copied by the last instruction: 0 to 3, or 4 for more. It decides what an instruction below 16 means. */
  let state = 0;
  const first = input[0] ?? 0;
  if (first > 17) {
    read = 1;
    const count = first - 17;
    literals(count);
    state = Math.min(count, 4);
  }
  // Every turn takes at least one byte of the input.
  for (;;) {
    const instruction = byte();
    let trailing: number;
    if (instruction >= 64) {
      const low = byte();
      match((low << 3) + ((instruction >> 2) & 7) + 1, (instruction >> 5) + 1);
      trailing = instruction & 3;
    } else if (instruction >= 32) {
      const count = (instruction & 31) === 0 ? longLength(31) + 2 : (instruction & 31) + 2;
      const low = byte();
      const high = byte();
      match((high << 6) + (low >> 2) + 1, count);
      trailing = low & 3;
    } else if (instruction >= 16) {
      const count = (instruction & 7) === 0 ? longLength(7) + 2 : (instruction & 7) + 2;
      const low = byte();
      const high = byte();
      const distance = ((instruction & 8) << 11) + (high << 6) + (low >> 2);
      if (distance === 0) {
        if (count !== 3) throw fail(`an end mark of length ${count}, expected 3`);
        return written;
      }
      match(distance + 0x4000, count);
      trailing = low & 3;
    } else if (state === 0) {
      literals((instruction === 0 ? longLength(15) : instruction) + 3);
      state = 4;
      continue;
    } else {
      const high = byte();
      if (state === 4) match((high << 2) + (instruction >> 2) + 2049, 3);
      else match((high << 2) + (instruction >> 2) + 1, 2);
      trailing = instruction & 3;
    }
    literals(trailing);
    state = trailing;
  }
}
