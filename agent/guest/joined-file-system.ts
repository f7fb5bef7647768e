import type { MaybePromise } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, Details, DirectoryEntry, FileExtent, FileSystem, FileSystemFacts } from "../filesystems/filesystem.ts";

/** A filesystem, or a folder of it, in its place in the joined tree. */
export interface Mount {
  /** Tells its files from those of all other mounts; the same each time the disk is opened. */
  readonly number: number;
  /** The name of the volume: "p1". */
  readonly volume: string;
  readonly fileSystem: FileSystem;
  readonly root: unknown;
}

/** A folder on the way to mount points. */
interface Place {
  mounted?: Mount;
  readonly children: Map<ByteString, Place>;
}

export interface JoinedNode {
  readonly mount: Mount;
  /** The mount's own node. */
  readonly node: unknown;
  /** Set where something is mounted below. */
  readonly place: Place | undefined;
}

/**
 * Several filesystems as one tree, as the guest mounts them. Whoever walks it sees one filesystem: a
 * mount point is a folder like any other, `..` and symlinks cross it. What lies under a mount point
 * is hidden, as in the guest.
 */
export class JoinedFileSystem implements FileSystem<JoinedNode> {
  readonly facts: FileSystemFacts;
  readonly root: JoinedNode;

  constructor(root: Mount) {
    this.facts = root.fileSystem.facts;
    this.root = { mount: root, node: root.root, place: { children: new Map() } };
  }

  /** @param path the mount point's names from the root, without symlinks. False when something is mounted there already. */
  mount(path: readonly ByteString[], mount: Mount): boolean {
    let place = this.root.place;
    for (const name of path) {
      const next: Place = place?.children.get(name) ?? { children: new Map() };
      place?.children.set(name, next);
      place = next;
    }
    if (path.length === 0 || place === undefined || place.mounted !== undefined) return false;
    place.mounted = mount;
    return true;
  }

  async *readDirectory(directory: JoinedNode): AsyncGenerator<readonly DirectoryEntry<JoinedNode>[]> {
    const { mount, node, place } = directory;
    for await (const batch of mount.fileSystem.readDirectory(node)) yield batch.map((entry) => joinEntry(mount, place, entry));
  }

  async lookup(directory: JoinedNode, name: ByteString): Promise<DirectoryEntry<JoinedNode> | undefined> {
    const { mount, node, place } = directory;
    const entry = await mount.fileSystem.lookup(node, name);
    return entry === undefined ? undefined : joinEntry(mount, place, entry);
  }

  async stat(nodes: readonly JoinedNode[]): Promise<(Attributes | DiskError)[]> {
    const results = new Array<Attributes | DiskError>(nodes.length);
    const byMount = new Map<Mount, number[]>();
    for (const [index, { mount }] of nodes.entries()) {
      const indexes = byMount.get(mount);
      if (indexes === undefined) byMount.set(mount, [index]);
      else indexes.push(index);
    }
    for (const [mount, indexes] of byMount) {
      const found = await mount.fileSystem.stat(indexes.map((index) => nodes[index]?.node));
      for (const [position, index] of indexes.entries()) {
        const one = found[position] ?? new DiskError("corrupt", "no attributes");
        results[index] = one instanceof DiskError ? one : { ...one, id: `${mount.number}:${one.id}` };
      }
    }
    return results;
  }

  details({ mount, node }: JoinedNode): Promise<Details> {
    return mount.fileSystem.details(node);
  }

  readLink({ mount, node }: JoinedNode): Promise<ByteString> {
    return mount.fileSystem.readLink(node);
  }

  extents({ mount, node }: JoinedNode, offset: number, length: number): MaybePromise<FileExtent[]> {
    return mount.fileSystem.extents(node, offset, length);
  }
}

function joinEntry(mount: Mount, above: Place | undefined, entry: DirectoryEntry<unknown>): DirectoryEntry<JoinedNode> {
  const place = above?.children.get(entry.name);
  if (place?.mounted !== undefined) return { name: entry.name, node: { mount: place.mounted, node: place.mounted.root, place }, type: "directory" };
  if (entry.error === undefined) return { name: entry.name, node: { mount, node: entry.node, place }, type: entry.type };
  // An entry that leads nowhere has no node; whoever lists it asks for that.
  const node = entry.node === undefined ? undefined : { mount, node: entry.node, place };
  return { name: entry.name, node: node as JoinedNode, type: entry.type, error: entry.error };
}
