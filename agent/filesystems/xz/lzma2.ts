// LZMA2: LZMA in chunks. Source: the .xz file format and liblzma's documentation of LZMA2. A chunk:
//
//   Offset | Size | Meaning
//   0      | 1    | 0: the end; 1, 2: stored (1: the dictionary starts anew); 0x80 and above: LZMA, of which bits 5 and 6 say:
//          |      | 1 state reset, 2 new properties as well, 3 dictionary as well; bits 0 to 4 are high bits of the size
//   1      | 2    | size of the output less one, big-endian
//   3      | 2    | LZMA: size of the input less one, big-endian
//   5      | 1    | LZMA with new properties: those
import { corrupt, type DiskError } from "../../blocks/disk-error.ts";
import { LzmaDecoder } from "./lzma.ts";

/** @returns the bytes of the input that were read, and those of the output that were written */
export function decodeLzma2(input: Uint8Array, output: Uint8Array): { read: number; written: number } {
  const decoder = new LzmaDecoder(output);
  let at = 0;
  let needsDictionary = true;
  let needsProperties = true;
  let needsState = true;
  const byte = (): number => {
    if (at >= input.length) throw fail("it ends without its end mark");
    return input[at++]!;
  };
  // Every turn takes at least one byte of the input.
  for (;;) {
    const control = byte();
    if (control === 0) return { read: at, written: decoder.written };
    if (control > 2 && control < 0x80) throw fail(`control byte 0x${control.toString(16)}`);
    const reset = control < 0x80 ? (control === 1 ? 3 : 0) : (control >>> 5) & 3;
    if (reset === 3) decoder.resetDictionary();
    else if (needsDictionary) throw fail("its first chunk doesn't reset the dictionary");
    needsDictionary = false;
    const low = byte() * 256 + byte() + 1;
    if (control < 0x80) {
      if (at + low > input.length) throw fail(`a chunk of ${low} bytes, ${input.length - at} are left`);
      decoder.copy(input.subarray(at, at + low));
      at += low;
      continue;
    }
    const written = (control & 0x1f) * 0x10000 + low;
    const length = byte() * 256 + byte() + 1;
    if (reset >= 2) {
      decoder.setProperties(byte());
      needsProperties = false;
    }
    if (reset >= 1) {
      decoder.resetState();
      needsState = false;
    }
    if (needsProperties || needsState) throw fail("its first chunk has no properties");
    if (at + length > input.length) throw fail(`a chunk of ${length} bytes, ${input.length - at} are left`);
    decoder.decode(input.subarray(at, at + length), written);
    at += length;
  }
}

function fail(found: string): DiskError {
  return corrupt("lzma2 data", undefined, found);
}
