import type { MaybePromise } from "../../blocks/block-source.ts";
import type { DiskError } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import type { ByteString } from "../byte-string.ts";
import type { Attributes, Details, DirectoryEntry, FileExtent, FileSystem, FileSystemFacts } from "../filesystem.ts";
import type { BlockRun } from "./block-runs.ts";
import type { Contents } from "./contents.ts";
import type { DirectoryFormat } from "./directory-entry.ts";
import { findEntry, readEntries } from "./directory.ts";
import { hole } from "./extent-record.ts";
import type { InodeTable } from "./inode-table.ts";
import { parseTimes, realtimeError, type Inode } from "./inode.ts";
import type { PendingChanges } from "./pending-changes.ts";
import { readTarget } from "./symlink.ts";
import { readXattrs } from "./xattr.ts";

/** What an opened filesystem is made of. */
export interface Parts {
  readonly contents: Contents;
  readonly inodes: InodeTable;
  readonly changes: PendingChanges;
}

/** An XFS filesystem; its nodes are inode numbers. */
export class XfsFileSystem implements FileSystem<number> {
  readonly facts: FileSystemFacts;
  readonly root: number;
  readonly #contents: Contents;
  readonly #inodes: InodeTable;
  readonly #changes: PendingChanges;

  constructor(parts: Parts, facts: FileSystemFacts) {
    this.facts = facts;
    this.#contents = parts.contents;
    this.#inodes = parts.inodes;
    this.#changes = parts.changes;
    this.root = parts.contents.superblock.rootInode;
  }

  async *readDirectory(directory: number): AsyncGenerator<readonly DirectoryEntry<number>[]> {
    yield* readEntries(this.#contents, await this.#directoryFormat(directory));
  }

  async lookup(directory: number, name: ByteString): Promise<DirectoryEntry<number> | undefined> {
    return findEntry(this.#contents, await this.#directoryFormat(directory), name);
  }

  stat(nodes: readonly number[]): Promise<(Attributes | DiskError)[]> {
    return this.#inodes.stat(nodes);
  }

  async details(node: number): Promise<Details> {
    const inode = await this.#inodes.get(node);
    const { xattrs, error } = await readXattrs(this.#contents, inode, this.#changes.attributes.get(node) ?? []);
    const details = { ...parseTimes(inode.bytes), xattrs };
    return error === undefined ? details : { ...details, xattrError: error };
  }

  async readLink(node: number): Promise<ByteString> {
    const inode = await this.#inodes.get(node);
    if (inode.type !== "symlink") throw new TypeError(`inode ${node} is no symlink`);
    return readTarget(this.#contents, inode);
  }

  extents(node: number, offset: number, length: number): MaybePromise<FileExtent[]> {
    return chain(this.#inodes.get(node), (inode) => this.#extentsOf(inode, offset, length));
  }

  #extentsOf(inode: Inode, offset: number, length: number): MaybePromise<FileExtent[]> {
    if (inode.type !== "file") throw new TypeError(`inode ${inode.number} is no regular file`);
    if (inode.isRealtime && inode.data.extentCount > 0) throw realtimeError(inode.number);
    const unknown = this.#changes.contentErrors.get(inode.number);
    if (unknown !== undefined) throw unknown;
    const blockSize = this.#contents.superblock.blockSizeBytes;
    // A size beyond 2^53 only holds zeros there, and no request reaches past the safe integers.
    const end = Math.min(offset + length, Number(inode.size));
    const first = Math.floor(offset / blockSize);
    return chain(this.#contents.map(inode, inode.data, first, Math.ceil(end / blockSize)), (runs) => this.#toExtents(runs, offset, end));
  }

  #toExtents(runs: readonly BlockRun[], offset: number, end: number): FileExtent[] {
    const blockSize = this.#contents.superblock.blockSizeBytes;
    const extents: FileExtent[] = [];
    for (const run of runs) {
      const start = Math.max(offset, run.logical * blockSize);
      const length = Math.min(end, (run.logical + run.count) * blockSize) - start;
      if (length <= 0) continue;
      if (run.offsetBytes === hole) extents.push({ kind: "hole", offset: start, length });
      else {
        const sourceOffset = run.offsetBytes + (start - run.logical * blockSize);
        extents.push({ kind: "data", offset: start, length, source: this.#contents.source, sourceOffset });
      }
    }
    return extents;
  }

  async #directoryFormat(node: number): Promise<DirectoryFormat> {
    const directory = await this.#inodes.get(node);
    if (directory.type !== "directory") throw new TypeError(`inode ${node} is no directory`);
    return { superblock: this.#contents.superblock, directory };
  }
}
