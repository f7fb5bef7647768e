import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { BlockExtent, ClosableBlockSource } from "../../agent/blocks/block-source.ts";
import { assertRange } from "../../agent/blocks/range.ts";

/** A raw image as a source whose reads are synchronous, also where it is too large for memory. */
export function openImageSource(path: string): ClosableBlockSource {
  const descriptor = openSync(path, "r");
  const sizeBytes = statSync(path).size;
  const fill = (offset: number, target: Uint8Array): void => {
    for (let done = 0; done < target.length; ) {
      const count = readSync(descriptor, target, done, target.length - done, offset + done);
      if (count === 0) throw new Error(`${path} ended at ${offset + done}`);
      done += count;
    }
  };
  return {
    sizeBytes,
    read(offset: number, length: number): Uint8Array {
      assertRange({ sizeBytes }, offset, length);
      const bytes = Buffer.allocUnsafe(length);
      fill(offset, bytes);
      return bytes;
    },
    async readInto(offset: number, target: Uint8Array): Promise<void> {
      assertRange({ sizeBytes }, offset, target.length);
      fill(offset, target);
    },
    async extents(offset: number, length: number): Promise<BlockExtent[]> {
      assertRange({ sizeBytes }, offset, length);
      return [{ offset, length, hole: false }];
    },
    async close(): Promise<void> {
      closeSync(descriptor);
    },
  };
}
