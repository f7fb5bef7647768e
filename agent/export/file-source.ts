import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import type { BlockExtent, ClosableBlockSource, MaybePromise } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { assertRange } from "../blocks/range.ts";

/** Opens a raw image file as a block source. For tools and tests: a backup is read through qemu-nbd. */
export async function openFileSource(path: string): Promise<ClosableBlockSource> {
  const handle = await open(path, "r");
  try {
    return new FileSource(handle, (await handle.stat()).size);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

class FileSource implements ClosableBlockSource {
  readonly sizeBytes: number;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle, sizeBytes: number) {
    this.#handle = handle;
    this.sizeBytes = sizeBytes;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    assertRange(this, offset, length);
    const target = new Uint8Array(length);
    return this.readInto(offset, target).then(() => target);
  }

  async readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    assertRange(this, offset, target.length);
    for (let filled = 0; filled < target.length; ) {
      signal?.throwIfAborted();
      const bytesRead = await this.#readSome(target, filled, offset + filled);
      if (bytesRead === 0) throw new DiskError("io_error", `the file ends at byte ${offset + filled}, it had ${this.sizeBytes} bytes`);
      filled += bytesRead;
    }
  }

  async #readSome(target: Uint8Array, filled: number, position: number): Promise<number> {
    try {
      return (await this.#handle.read(target, filled, target.length - filled, position)).bytesRead;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new DiskError("io_error", `reading the file at byte ${position}: ${message}`, { cause: error });
    }
  }

  async extents(offset: number, length: number): Promise<BlockExtent[]> {
    assertRange(this, offset, length);
    return length === 0 ? [] : [{ offset, length, hole: false }];
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
