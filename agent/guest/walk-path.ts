import { DiskError, corrupt } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, FileSystem } from "../filesystems/filesystem.ts";

/** Linux's own bound (MAXSYMLINKS). */
const maxSymlinks = 40;
/** Names in one path with all its symlinks; no mount point is so deep. */
const maxNames = 1024;
const maxTargetLength = 4096;

export interface WalkedPath<Node> {
  /** From the start, without symlinks, as the disk spells them. */
  readonly names: readonly ByteString[];
  readonly node: Node;
  readonly attributes: Attributes;
}

/**
 * Follows a path and its symlinks as in a chroot at `start`; undefined when it leads nowhere.
 * @throws DiskError when something on the way can't be read
 */
export async function walkPath<Node>(fileSystem: FileSystem<Node>, start: Node, path: ByteString): Promise<WalkedPath<Node> | undefined> {
  const pending = path.split("/").filter(isName).reverse();
  const root = { name: "", node: start, attributes: await statOne(fileSystem, start) };
  const steps = [root];
  let symlinks = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const last = steps.at(-1) ?? root;
    if (last.attributes.type !== "directory" || pending.length > maxNames) return undefined;
    if (name === "..") {
      if (steps.length > 1) steps.pop();
      continue;
    }
    const entry = await fileSystem.lookup(last.node, name);
    if (entry === undefined) return undefined;
    if (entry.error !== undefined) throw entry.error;
    const attributes = await statOne(fileSystem, entry.node);
    if (attributes.type !== "symlink") {
      steps.push({ name: entry.name, node: entry.node, attributes });
      continue;
    }
    symlinks += 1;
    const target = await fileSystem.readLink(entry.node);
    if (symlinks > maxSymlinks || target.length > maxTargetLength) return undefined;
    if (target.startsWith("/")) steps.length = 1;
    pending.push(...target.split("/").filter(isName).reverse());
  }
  const { node, attributes } = steps.at(-1) ?? root;
  return { names: steps.slice(1).map((step) => step.name), node, attributes };
}

/** @param maxBytes a longer file counts as corrupt. Undefined when the path leads to no file. */
export async function readWholeFile<Node>(fileSystem: FileSystem<Node>, start: Node, path: ByteString, maxBytes: number): Promise<Buffer | undefined> {
  const found = await walkPath(fileSystem, start, path);
  if (found?.attributes.type !== "file") return undefined;
  const { size, contentError } = found.attributes;
  if (contentError !== undefined) throw contentError;
  if (size > maxBytes) throw corrupt(path, undefined, `${size} bytes, expected at most ${maxBytes}`);
  const bytes = Buffer.alloc(Number(size));
  for (let offset = 0; offset < bytes.length; ) {
    const before = offset;
    for (const extent of await fileSystem.extents(found.node, offset, bytes.length - offset)) {
      const skip = offset - extent.offset;
      const length = Math.min(extent.length - skip, bytes.length - offset);
      if (skip < 0 || length <= 0) break;
      const target = bytes.subarray(offset, offset + length);
      if (extent.kind === "data") await extent.source.readInto(extent.sourceOffset + skip, target);
      else if (extent.kind === "inline") target.set(extent.bytes.subarray(skip, skip + length));
      else if (extent.kind === "decoded") target.set((await extent.read()).subarray(skip, skip + length));
      offset += length;
    }
    if (offset === before) throw corrupt(path, undefined, `nothing covers byte ${offset}`);
  }
  return bytes;
}

function isName(name: ByteString): boolean {
  return name !== "" && name !== ".";
}

async function statOne<Node>(fileSystem: FileSystem<Node>, node: Node): Promise<Attributes> {
  const [found] = await fileSystem.stat([node]);
  if (found === undefined) throw new DiskError("corrupt", "no attributes");
  if (found instanceof DiskError) throw found;
  return found;
}
