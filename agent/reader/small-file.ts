import type { FileSystem } from "../filesystems/filesystem.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { ContentPlan } from "./content-plan.ts";

/** Files up to this size are read whole before their turn. One block of the cache: neighbours on the disk come with it. */
export const smallFileBytes = 64 * 1024;

/** A whole small file, through the source's cache. @param size at most smallFileBytes */
export async function readSmallFile(fileSystem: FileSystem, node: unknown, size: number): Promise<Uint8Array> {
  const target = new Uint8Array(size);
  const plan = new ContentPlan(fileSystem, node, 0, size);
  for (let planned = plan.next(size); ; planned = plan.next(size)) {
    const chunk = planned instanceof Promise ? await planned : planned;
    if (chunk === undefined) return target;
    for (const part of chunk.parts) {
      const at = chunk.offset + part.at;
      if (part.kind === "bytes") target.set(part.bytes, at);
      else if (part.kind === "source") {
        const bytes = part.source.read(part.sourceOffset, part.length);
        target.set(bytes instanceof Promise ? await bytes : bytes, at);
      } else {
        const bytes = await part.extent.read();
        if (bytes.length < part.skip + part.length) {
          throw new DiskError("corrupt", `an extent decoded to ${bytes.length} bytes, expected ${part.extent.length}`);
        }
        target.set(bytes.subarray(part.skip, part.skip + part.length), at);
      }
    }
  }
}
