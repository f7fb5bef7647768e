import type { MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, corrupt, toDiskError, unsupported } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import type { Attributes, Details, DirectoryEntry, FileExtent, FileSystem, FileSystemFacts } from "../filesystem.ts";
import type { DataReader } from "./data-reader.ts";
import { encryptedNameBit, hashName, parseDirItems, toNodeType, type DirItem } from "./dir-item.ts";
import { mapFile, readInlineTarget, type MappedFile } from "./file-map.ts";
import { inodeError, parseAttributes, parseInode, parseTimes, type Inode } from "./inode-item.ts";
import { itemTypes, makeKey, maxOffset, objectidOf, offsetOf } from "./key.ts";
import { itemData, keyAt } from "./node.ts";
import { topLevelSubvolume, isSubvolume, type Subvolumes } from "./subvolumes.ts";
import type { Tree } from "./tree.ts";

/** The inode of the root directory of every file tree. */
export const rootInode = 256;
/** Entries in one batch of a listing. */
const batchEntries = 4096;
/** Inodes parsed and kept. */
const cachedInodes = 1024;
/** The first two positions are those of "." and "..". */
const firstDirIndex = 2;
const maxDamagedLeaves = 4096;

/** The top-level subvolume under the root of a volume that shows another one; a lookup finds it, no listing has it. */
export const topLevelName = ".btrfs-toplevel";

export interface BtrfsNode {
  /** Id of the subvolume. */
  readonly tree: number;
  readonly inode: number;
  /** Set for a subvolume's entry that leads nowhere: a snapshot's copy of it. `inode` is then the folder it stands in. */
  readonly emptySubvolume?: number;
  /** Set for an entry that leads nowhere for this reason. */
  readonly error?: DiskError;
}

export interface Parts {
  readonly subvolumes: Subvolumes;
  readonly data: DataReader;
  readonly sectorBytes: number;
  readonly rootSubvolume: number;
}

export class BtrfsFileSystem implements FileSystem<BtrfsNode> {
  readonly facts: FileSystemFacts;
  readonly root: BtrfsNode;
  readonly #subvolumes: Subvolumes;
  readonly #data: DataReader;
  readonly #sectorBytes: number;
  readonly #inodes = new Map<string, Inode>();

  constructor(parts: Parts, facts: FileSystemFacts) {
    this.facts = facts;
    this.root = { tree: parts.rootSubvolume, inode: rootInode };
    this.#subvolumes = parts.subvolumes;
    this.#data = parts.data;
    this.#sectorBytes = parts.sectorBytes;
  }

  async *readDirectory(directory: BtrfsNode): AsyncGenerator<readonly DirectoryEntry<BtrfsNode>[]> {
    if (directory.error !== undefined) throw directory.error;
    if (directory.emptySubvolume !== undefined) return;
    const { tree: treeId, inode } = directory;
    const tree = await this.#subvolumes.tree(treeId);
    let entries: DirectoryEntry<BtrfsNode>[] = [];
    let damaged = 0;
    for await (const items of tree.scan(makeKey(inode, itemTypes.dirIndex, firstDirIndex), makeKey(inode, itemTypes.dirIndex, maxOffset))) {
      if (items instanceof DiskError) {
        entries.push({ name: `#damaged-directory-leaf-${damaged++}`, node: { tree: treeId, inode, error: items }, type: undefined, error: items });
        if (damaged > maxDamagedLeaves) throw items;
        continue;
      }
      for (let index = items.start; index < items.end; index++) {
        const position = offsetOf(keyAt(items.leaf, index));
        const what = `btrfs directory ${inode} of tree ${treeId}, index ${position}`;
        try {
          // Linux reads one entry of the item; more of them would have no place in the order.
          const [item] = parseDirItems(itemData(items.leaf, index), what);
          if (item === undefined) throw corrupt(what, undefined, "it is empty");
          const entry = this.#toEntry(directory, item, what);
          entries.push(entry instanceof Promise ? await entry : entry);
        } catch (thrown) {
          const error = toDiskError(thrown);
          entries.push({ name: `#damaged-directory-entry-${position}`, node: { tree: treeId, inode, error }, type: undefined, error });
        }
      }
      if (entries.length >= batchEntries) {
        yield entries;
        entries = [];
      }
    }
    if (entries.length > 0) yield entries;
  }

  async lookup(directory: BtrfsNode, name: ByteString): Promise<DirectoryEntry<BtrfsNode> | undefined> {
    if (directory.error !== undefined) throw directory.error;
    if (directory.emptySubvolume !== undefined) return undefined;
    const tree = await this.#subvolumes.tree(directory.tree);
    const found = await tree.find(makeKey(directory.inode, itemTypes.dirItem, hashName(name)));
    if (found !== undefined) {
      const what = `btrfs directory ${directory.inode} of tree ${directory.tree}, entries of hash ${offsetOf(found.key)}`;
      const item = parseDirItems(found.data, what).find((candidate) => candidate.name === name);
      if (item !== undefined) return this.#toEntry(directory, item, what);
    }
    const isRoot = directory.tree === this.root.tree && directory.inode === rootInode;
    if (isRoot && name === topLevelName && this.root.tree !== topLevelSubvolume) {
      return { name, node: { tree: topLevelSubvolume, inode: rootInode }, type: "directory" };
    }
    return undefined;
  }

  #toEntry(directory: BtrfsNode, item: DirItem, what: string): MaybePromise<DirectoryEntry<BtrfsNode>> {
    const { name, location } = item;
    const bad = (error: DiskError): DirectoryEntry<BtrfsNode> => ({
      name: isPathName(name) ? name : `#damaged-directory-entry-${Buffer.from(name, "latin1").toString("hex")}`,
      node: { tree: directory.tree, inode: directory.inode, error },
      type: undefined,
      error,
    });
    if (!isPathName(name)) return bad(corrupt(what, undefined, "its name is not one that a path can hold"));
    if ((item.type & encryptedNameBit) !== 0) return bad(unsupported("btrfs fscrypt encryption"));
    const type = toNodeType(item.type);
    if (type === undefined) return bad(corrupt(what, undefined, `type ${item.type}`));
    const id = objectidOf(location);
    if (location.type === itemTypes.inodeItem) {
      if (!Number.isSafeInteger(id)) return bad(corrupt(what, undefined, "it names an inode of the filesystem itself"));
      return { name, node: { tree: directory.tree, inode: id }, type };
    }
    if (location.type !== itemTypes.rootItem || !isSubvolume(id)) return bad(corrupt(what, undefined, `it points to key ${id} of type ${location.type}`));
    return this.#subvolumes.isMountedAt(directory.tree, directory.inode, name, id).then(
      (isMounted) => {
        const node = isMounted ? { tree: id, inode: rootInode } : { tree: directory.tree, inode: directory.inode, emptySubvolume: id };
        return { name, node, type: "directory" };
      },
      (error: unknown) => bad(toDiskError(error)),
    );
  }

  async stat(nodes: readonly BtrfsNode[]): Promise<(Attributes | DiskError)[]> {
    const results = new Array<Attributes | DiskError>(nodes.length);
    const byTree = new Map<number, number[]>();
    nodes.forEach((node, position) => {
      if (node.error !== undefined) {
        results[position] = node.error;
        return;
      }
      const positions = byTree.get(node.tree);
      if (positions === undefined) byTree.set(node.tree, [position]);
      else positions.push(position);
    });
    for (const [treeId, positions] of byTree) {
      positions.sort((a, b) => nodes[a]!.inode - nodes[b]!.inode);
      try {
        const tree = await this.#subvolumes.tree(treeId);
        await tree.findMany(positions.map((position) => inodeKey(nodes[position]!)), (index, data) => {
          const position = positions[index]!;
          results[position] = toAttributes(nodes[position]!, data);
        });
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        for (const position of positions) results[position] ??= error;
      }
    }
    return results;
  }

  async details(node: BtrfsNode): Promise<Details> {
    if (node.error !== undefined) throw node.error;
    const xattrs = new Map<ByteString, Uint8Array>();
    if (node.emptySubvolume !== undefined) return { accessedAt: undefined, changedAt: undefined, createdAt: undefined, xattrs };
    const tree = await this.#subvolumes.tree(node.tree);
    const times = parseTimes(await this.#inodeItem(tree, node));
    let xattrError: DiskError | undefined;
    for await (const items of tree.scan(makeKey(node.inode, itemTypes.xattrItem, 0), makeKey(node.inode, itemTypes.xattrItem, maxOffset))) {
      if (items instanceof DiskError) {
        xattrError ??= items;
        continue;
      }
      for (let index = items.start; index < items.end; index++) {
        try {
          for (const { name, data } of parseDirItems(itemData(items.leaf, index), `btrfs extended attributes of inode ${node.inode} of tree ${node.tree}`)) {
            xattrs.set(name, Uint8Array.from(data));
          }
        } catch (error) {
          xattrError ??= toDiskError(error);
        }
      }
    }
    return xattrError === undefined ? { ...times, xattrs } : { ...times, xattrs, xattrError };
  }

  async readLink(node: BtrfsNode): Promise<ByteString> {
    const file = await this.#mappedFile(node);
    if (file.inode.type !== "symlink") throw new TypeError(`${file.what} is no symlink`);
    return toByteString(await readInlineTarget(file));
  }

  extents(node: BtrfsNode, offset: number, length: number): MaybePromise<FileExtent[]> {
    return chain(this.#mappedFile(node), (file) => {
      if (file.inode.type !== "file") throw new TypeError(`${file.what} is no regular file`);
      return mapFile(file, offset, Math.min(offset + length, file.inode.size));
    });
  }

  #mappedFile(node: BtrfsNode): MaybePromise<MappedFile> {
    if (node.error !== undefined) throw node.error;
    return chain(this.#subvolumes.tree(node.tree), (tree) =>
      chain(this.#inode(tree, node), (inode) => {
        const what = `btrfs inode ${node.inode} of tree ${node.tree}`;
        return { tree, number: node.inode, inode, what, sectorBytes: this.#sectorBytes, data: this.#data };
      }));
  }

  #inode(tree: Tree, node: BtrfsNode): MaybePromise<Inode> {
    const id = `${node.tree}:${node.inode}`;
    const known = this.#inodes.get(id);
    if (known !== undefined) return known;
    return chain(this.#inodeItem(tree, node), (data) => {
      const inode = parseInode(node.tree, node.inode, data);
      if (this.#inodes.size >= cachedInodes) this.#inodes.clear();
      this.#inodes.set(id, inode);
      return inode;
    });
  }

  #inodeItem(tree: Tree, node: BtrfsNode): MaybePromise<Buffer> {
    return chain(tree.find(inodeKey(node)), (item) => {
      if (item === undefined) throw inodeError(node.tree, node.inode, "it has no inode item");
      const attributes = parseAttributes(node.tree, node.inode, item.data);
      if (attributes instanceof DiskError) throw attributes;
      return item.data;
    });
  }
}

function inodeKey(node: BtrfsNode) {
  return makeKey(node.inode, itemTypes.inodeItem, 0);
}

function toAttributes(node: BtrfsNode, data: Buffer | DiskError | undefined): Attributes | DiskError {
  if (data instanceof DiskError) return data;
  if (data === undefined) return inodeError(node.tree, node.inode, "it has no inode item");
  const attributes = parseAttributes(node.tree, node.inode, data);
  if (node.emptySubvolume === undefined || attributes instanceof DiskError) return attributes;
  // As Linux makes it up, but for the time, which is then that of the mount.
  return { ...attributes, id: `${node.tree}:${node.inode}:${node.emptySubvolume}`, mode: 0o40755, size: 0, linkCount: 1 };
}

function isPathName(name: ByteString): boolean {
  return name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
}
