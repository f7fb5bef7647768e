import type { MaybePromise } from "../blocks/block-source.ts";
import type { BlockSource } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { memorySource } from "../blocks/memory-source.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, Details, DirectoryEntry, FileExtent, FileSystem, FileSystemFacts, NodeType } from "../filesystems/filesystem.ts";

/** A filesystem made up in memory. For tests: what no real disk holds at will (damage, loops, odd names, slow reads). */
export interface FakeNode {
  type: NodeType;
  id: number;
  /** A folder's entries, in on-disk order; names may repeat. */
  entries: DirectoryEntry<FakeNode>[];
  contents: Uint8Array;
  /** In the place of `contents`. */
  extents?: FileExtent[];
  target: ByteString;
  linkCount: number;
  /** Given in the place of the attributes. */
  statError?: DiskError;
  /** Thrown when its contents, entries or target are read. */
  readError?: unknown;
  /** Read errors come after so many entries. */
  entriesBeforeError: number;
  contentError?: DiskError;
  size?: number | bigint;
  xattrs: Map<ByteString, Uint8Array>;
  xattrError?: DiskError;
}

let lastId = 1;

function node(type: NodeType, more: Partial<FakeNode>): FakeNode {
  lastId += 1;
  return { type, id: lastId, entries: [], contents: new Uint8Array(0), target: "", linkCount: 1, entriesBeforeError: 0, xattrs: new Map(), ...more };
}

export function fakeFile(contents: Uint8Array | string = "", more: Partial<FakeNode> = {}): FakeNode {
  return node("file", { contents: typeof contents === "string" ? Buffer.from(contents) : contents, ...more });
}

export function fakeLink(target: ByteString, more: Partial<FakeNode> = {}): FakeNode {
  return node("symlink", { target, ...more });
}

/** @param entries as an object; for names that repeat, set `entries` in `more` */
export function fakeFolder(entries: Record<ByteString, FakeNode> = {}, more: Partial<FakeNode> = {}): FakeNode {
  return node("directory", { entries: Object.entries(entries).map(([name, child]) => fakeEntry(name, child)), linkCount: 2, ...more });
}

export function fakeEntry(name: ByteString, child: FakeNode, more: Partial<DirectoryEntry<FakeNode>> = {}): DirectoryEntry<FakeNode> {
  return { name, node: child, type: child.type, ...more };
}

const modes: Record<NodeType, number> = { file: 0o100644, directory: 0o40755, symlink: 0o120777, other: 0o10644 };

export class FakeFileSystem implements FileSystem<FakeNode> {
  readonly facts: FileSystemFacts;
  readonly root: FakeNode;
  readonly calls = { readDirectory: 0, lookup: 0, stat: 0, readLink: 0, extents: 0 };

  constructor(root: FakeNode, facts: Partial<FileSystemFacts> = {}) {
    this.root = root;
    this.facts = { type: "fake", label: "made up", uuid: "0001", sizeBytes: 1 << 20, usedBytes: 4096, blockSizeBytes: 4096, state: "clean", ...facts };
  }

  async *readDirectory(directory: FakeNode): AsyncGenerator<readonly DirectoryEntry<FakeNode>[]> {
    this.calls.readDirectory += 1;
    const { entries, readError, entriesBeforeError } = directory;
    if (readError === undefined) yield entries;
    else {
      if (entriesBeforeError > 0) yield entries.slice(0, entriesBeforeError);
      throw readError;
    }
  }

  async lookup(directory: FakeNode, name: ByteString): Promise<DirectoryEntry<FakeNode> | undefined> {
    this.calls.lookup += 1;
    if (directory.readError !== undefined) throw directory.readError;
    return directory.entries.find((entry) => entry.name === name);
  }

  async stat(nodes: readonly FakeNode[]): Promise<(Attributes | DiskError)[]> {
    this.calls.stat += 1;
    return nodes.map(attributesOf);
  }

  async details(node: FakeNode): Promise<Details> {
    return { accessedAt: undefined, changedAt: undefined, createdAt: undefined, xattrs: node.xattrs, ...(node.xattrError === undefined ? {} : { xattrError: node.xattrError }) };
  }

  async readLink(node: FakeNode): Promise<ByteString> {
    this.calls.readLink += 1;
    if (node.readError !== undefined) throw node.readError;
    return node.target;
  }

  extents(node: FakeNode, offset: number, length: number): MaybePromise<FileExtent[]> {
    this.calls.extents += 1;
    if (node.readError !== undefined) throw node.readError;
    if (node.extents !== undefined) return node.extents.filter((extent) => extent.offset + extent.length > offset && extent.offset < offset + length);
    const source: BlockSource = memorySource(node.contents);
    return [{ kind: "data", offset, length: Math.min(length, node.contents.length - offset), source, sourceOffset: offset }];
  }
}

function attributesOf(node: FakeNode): Attributes | DiskError {
  if (node.statError !== undefined) return node.statError;
  return {
    type: node.type,
    id: node.id,
    size: node.size ?? (node.extents?.reduce((end, extent) => Math.max(end, extent.offset + extent.length), 0) ?? node.contents.length),
    mode: modes[node.type],
    uid: 1000,
    gid: 100,
    linkCount: node.linkCount,
    deviceMajor: 0,
    deviceMinor: 0,
    mtimeSeconds: 1_700_000_000,
    mtimeNanoseconds: 123_000_000,
    mtimeDigits: 9,
    ...(node.contentError === undefined ? {} : { contentError: node.contentError }),
  };
}
