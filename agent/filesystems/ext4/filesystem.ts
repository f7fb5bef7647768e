import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { type DiskError, corrupt, unsupported } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import type { Attributes, Details, DirectoryEntry, FileExtent, FileSystem, FileSystemFacts } from "../filesystem.ts";
import { hole, type BlockRun } from "./block-runs.ts";
import type { Contents } from "./contents.ts";
import type { DirectoryFormat } from "./directory-block.ts";
import { findEntry, readEntries } from "./directory.ts";
import type { FastCommitChanges } from "./fast-commit-changes.ts";
import type { GroupDescriptors } from "./group-descriptors.ts";
import { readInlineContents, readInlineParts } from "./inline-data.ts";
import type { InodeTable } from "./inode-table.ts";
import { iBlockOffset, iBlockSizeBytes, inodeFlags, parseTimes, readSectorCount, type Inode } from "./inode.ts";
import { showEncryptedName } from "./encrypted-name.ts";
import type { Superblock } from "./superblock.ts";
import { readAttributes } from "./xattr.ts";

const rootInode = 2;
/** dx_root_info.hash_version, after the entries of "." and "..". */
const dxRootHashVersionOffset = 0x1c;
const lastSignedHashVersion = 2;

/** What an opened filesystem is made of. */
export interface Parts {
  readonly groups: GroupDescriptors;
  readonly source: BlockSource;
  readonly superblock: Superblock;
  readonly inodes: InodeTable;
  readonly contents: Contents;
  readonly changes: FastCommitChanges;
}

/** An ext2, ext3 or ext4 filesystem; its nodes are inode numbers. */
export class Ext4FileSystem implements FileSystem<number> {
  readonly facts: FileSystemFacts;
  readonly root = rootInode;
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #inodes: InodeTable;
  readonly #contents: Contents;
  readonly #changes: FastCommitChanges;

  constructor(parts: Parts, facts: FileSystemFacts) {
    this.facts = facts;
    this.#source = parts.source;
    this.#superblock = parts.superblock;
    this.#inodes = parts.inodes;
    this.#contents = parts.contents;
    this.#changes = parts.changes;
  }

  async *readDirectory(directory: number): AsyncGenerator<readonly DirectoryEntry<number>[]> {
    yield* readEntries(this.#contents, await this.#directoryFormat(directory), this.#changes);
  }

  async lookup(directory: number, name: ByteString): Promise<DirectoryEntry<number> | undefined> {
    return findEntry(this.#contents, await this.#directoryFormat(directory), this.#changes, name);
  }

  stat(nodes: readonly number[]): Promise<(Attributes | DiskError)[]> {
    return this.#inodes.stat(nodes);
  }

  async details(node: number): Promise<Details> {
    const inode = await this.#inodes.get(node);
    const { xattrs, error } = await readAttributes(inode, this.#inodes, this.#contents);
    const details = { ...parseTimes(inode.bytes), xattrs };
    return error === undefined ? details : { ...details, xattrError: error };
  }

  async readLink(node: number): Promise<ByteString> {
    const inode = await this.#inodes.get(node);
    if (inode.type !== "symlink") throw new TypeError(`inode ${node} is no symlink`);
    if ((inode.flags & inodeFlags.encrypt) !== 0) throw unsupported("ext4 fscrypt encryption");
    const target = await this.#linkBytes(inode);
    const end = target.indexOf(0);
    return toByteString(target, 0, end < 0 ? target.length : end);
  }

  #linkBytes(inode: Inode): MaybePromise<Buffer> {
    const fail = (found: string) => corrupt(`ext4 symlink inode ${inode.number}`, inode.offsetBytes, found);
    if (this.#isFastLink(inode)) {
      if (inode.size === 0 || inode.size >= iBlockSizeBytes) throw fail(`i_size ${inode.size}, expected 1 to ${iBlockSizeBytes - 1}`);
      const target = inode.bytes.subarray(iBlockOffset, iBlockOffset + Number(inode.size));
      if (target.includes(0)) throw fail(`the target ends before its ${inode.size} bytes do`);
      return target;
    }
    if ((inode.flags & inodeFlags.inlineData) !== 0) {
      const { first, second } = readInlineParts(inode);
      return Buffer.concat([first, second]).subarray(0, Number(inode.size));
    }
    // Linux reads one block and keeps its last byte for a closing NUL, whatever i_size says.
    const length = Math.min(Number(inode.size), this.#superblock.blockSizeBytes - 1);
    return chain(this.#contents.map(inode, 0, 1), (runs) => {
      if (runs[0]!.physical === hole) throw fail("the target has no block");
      return this.#contents.readStart(inode, length);
    });
  }

  /** A short target lies in the inode; without ea_inode the tell is that no block is in use but that of the attributes. */
  #isFastLink(inode: Inode): boolean {
    if (this.#superblock.eaInodes) return inode.size > 0 && inode.size < iBlockSizeBytes;
    if ((inode.flags & inodeFlags.inlineData) !== 0) return false;
    const attributeSectors = inode.attributeBlock === 0 ? 0 : this.#superblock.clusterSizeBytes / 512;
    return readSectorCount(this.#superblock, inode.bytes) === attributeSectors;
  }

  extents(node: number, offset: number, length: number): MaybePromise<FileExtent[]> {
    return chain(this.#inodes.get(node), (inode) => this.#extentsOf(inode, offset, length));
  }

  #extentsOf(inode: Inode, offset: number, length: number): MaybePromise<FileExtent[]> {
    if (inode.type !== "file") throw new TypeError(`inode ${inode.number} is no regular file`);
    if ((inode.flags & inodeFlags.encrypt) !== 0) throw unsupported("ext4 fscrypt encryption");
    if ((inode.flags & inodeFlags.inlineData) !== 0) {
      const bytes = readInlineContents(inode).subarray(offset, offset + length);
      return [{ kind: "inline", offset, length: bytes.length, bytes }];
    }
    const blockSize = this.#superblock.blockSizeBytes;
    // A size beyond 2^53 only holds zeros there, and no request reaches past the safe integers.
    const end = Math.min(offset + length, Number(inode.size));
    const first = Math.floor(offset / blockSize);
    return chain(this.#contents.map(inode, first, Math.ceil(end / blockSize)), (runs) => this.#toExtents(runs, offset, end));
  }

  #toExtents(runs: readonly BlockRun[], offset: number, end: number): FileExtent[] {
    const blockSize = this.#superblock.blockSizeBytes;
    const extents: FileExtent[] = [];
    for (const run of runs) {
      const start = Math.max(offset, run.logical * blockSize);
      const length = Math.min(end, (run.logical + run.count) * blockSize) - start;
      if (length <= 0) continue;
      if (run.physical === hole) extents.push({ kind: "hole", offset: start, length });
      else {
        const sourceOffset = run.physical * blockSize + (start - run.logical * blockSize);
        extents.push({ kind: "data", offset: start, length, source: this.#source, sourceOffset });
      }
    }
    return extents;
  }

  async #directoryFormat(node: number): Promise<DirectoryFormat> {
    const directory = await this.#inodes.get(node);
    if (directory.type !== "directory") throw new TypeError(`inode ${node} is no directory`);
    if ((directory.flags & inodeFlags.encrypt) === 0) {
      return { superblock: this.#superblock, directory, showEncryptedName: undefined, encryptedNameError: undefined };
    }
    const version = await this.#hashVersion(directory);
    return {
      superblock: this.#superblock,
      directory,
      showEncryptedName: (name) => showEncryptedName(name, version, this.#superblock),
      encryptedNameError: unsupported("ext4 fscrypt encryption"),
    };
  }

  /** The hash Linux would list the directory by; undefined where it lists without one. */
  async #hashVersion(directory: Inode): Promise<number | undefined> {
    const { dirIndex, blockSizeBytes, defaultHashVersion, unsignedHash } = this.#superblock;
    if (!dirIndex) return undefined;
    const indexed = (directory.flags & inodeFlags.index) !== 0;
    if (!indexed && directory.size !== blockSizeBytes && (directory.flags & inodeFlags.inlineData) === 0) return undefined;
    let version = defaultHashVersion;
    if (indexed) {
      const root = await this.#contents.readStart(directory, blockSizeBytes);
      version = root[dxRootHashVersionOffset]!;
    }
    return version <= lastSignedHashVersion && unsignedHash ? version + lastSignedHashVersion + 1 : version;
  }
}
