import { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, Details, FileSystem, NodeType, Timestamp } from "../filesystems/filesystem.ts";
import type { ListedNode } from "./disk-reader.ts";
import type { OpenVolume } from "./open-volume.ts";
import { toNodeError, toReaderError } from "./reader-error.ts";

/** Attributes of one node; throws where they can't be read. */
export async function statOne(fileSystem: FileSystem, node: unknown, reading: string): Promise<Attributes> {
  let found: Attributes | DiskError | undefined;
  try {
    [found] = await fileSystem.stat([node]);
  } catch (error) {
    throw toReaderError(error, reading);
  }
  if (found === undefined || found instanceof DiskError) throw toReaderError(found, reading);
  return found;
}

/**
 * Attributes of many nodes, in order; a fault stands in the place of the entry it hits. A reader that
 * gives up on the whole batch is asked again one by one, so that one bad entry doesn't hide the others.
 */
export async function statMany(fileSystem: FileSystem, nodes: readonly unknown[]): Promise<(Attributes | DiskError)[]> {
  if (nodes.length === 0) return [];
  try {
    return await fileSystem.stat(nodes);
  } catch {
    const found: (Attributes | DiskError)[] = [];
    for (const node of nodes) {
      try {
        const [one] = await fileSystem.stat([node]);
        found.push(one ?? new DiskError("corrupt", "no attributes"));
      } catch (error) {
        const { code, detail } = toNodeError(error, "attributes");
        found.push(new DiskError(code, detail, { cause: error }));
      }
    }
    return found;
  }
}

export function modifiedAt(attributes: Attributes): Timestamp {
  return { seconds: attributes.mtimeSeconds, nanoseconds: attributes.mtimeNanoseconds, digits: attributes.mtimeDigits };
}

/** Whether it is a file of several names: worth telling, since whoever copies it may want to keep them one. */
export function hasOtherNames({ type, linkCount }: Attributes): boolean {
  return type === "file" && linkCount > 1;
}

/** An entry of a listing. @param claimedType what the folder says of it, where its attributes can't be read */
export function toListedNode(
  path: readonly ByteString[],
  found: Attributes | DiskError,
  claimedType: NodeType,
  entryError: DiskError | undefined,
): ListedNode {
  if (found instanceof DiskError) return { path, type: claimedType, error: toNodeError(entryError ?? found, "entry") };
  const error = entryError ?? found.contentError;
  return {
    path,
    type: found.type,
    size: found.size,
    mode: found.mode,
    uid: found.uid,
    gid: found.gid,
    modifiedAt: modifiedAt(found),
    ...(hasOtherNames(found) ? { linkCount: found.linkCount } : {}),
    ...(error === undefined ? {} : { error: toNodeError(error, "entry") }),
  };
}

/** A volume as an entry of "/": the root of its filesystem, or why there is none. */
export async function volumeNode(volume: OpenVolume): Promise<ListedNode> {
  const path = [volume.name];
  if (!volume.readable) return { path, type: "directory", error: volume.error };
  const [found] = await statMany(volume.fileSystem, [volume.fileSystem.root]);
  const node = toListedNode(path, found ?? new DiskError("corrupt", "the root folder has no attributes"), "directory", undefined);
  return volume.error === undefined || node.error !== undefined ? node : { ...node, error: volume.error };
}

/** Extended attributes in buffers of their own: a view of a cached block would take the whole block along to another thread. */
export function ownXattrs(details: Details): [ByteString, Uint8Array][] {
  return Array.from(details.xattrs, ([name, value]) => [name, value.byteLength === value.buffer.byteLength ? value : new Uint8Array(value)]);
}
