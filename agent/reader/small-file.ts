import type { FileSystem } from "../filesystems/filesystem.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { ContentPlan, type Part } from "./content-plan.ts";

/** Files up to this size are read whole before their turn. One block of the cache: neighbours on the disk come with it. */
export const smallFileBytes = 64 * 1024;

/**
 * A whole small file, through the source's cache. One that lies in one piece is not copied: its bytes may be a view of
 * the cache. Bytes that have their buffer to themselves are the caller's, who may give it away.
 * @param size at most smallFileBytes
 */
export async function readSmallFile(fileSystem: FileSystem, node: unknown, size: number): Promise<Uint8Array> {
  const plan = new ContentPlan(fileSystem, node, 0, size);
  let planned = plan.next(size);
  let chunk = planned instanceof Promise ? await planned : planned;
  const [only] = chunk?.parts ?? [];
  if (chunk?.length === size && only !== undefined && lengthOf(only) === size) {
    const bytes = await readPart(only);
    // A whole block of the cache looks as if it were ours.
    return bytes.byteLength === bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes;
  }
  const target = new Uint8Array(size);
  while (chunk !== undefined) {
    for (const part of chunk.parts) target.set(await readPart(part), chunk.offset + part.at);
    planned = plan.next(size);
    chunk = planned instanceof Promise ? await planned : planned;
  }
  return target;
}

function lengthOf(part: Part): number {
  return part.kind === "bytes" ? part.bytes.length : part.length;
}

async function readPart(part: Part): Promise<Uint8Array> {
  if (part.kind === "bytes") return part.bytes;
  if (part.kind === "source") return part.source.read(part.sourceOffset, part.length);
  const bytes = await part.extent.read();
  if (bytes.length < part.skip + part.length) {
    throw new DiskError("corrupt", `an extent decoded to ${bytes.length} bytes, expected ${part.extent.length}`);
  }
  return bytes.subarray(part.skip, part.skip + part.length);
}
