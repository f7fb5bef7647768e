import { DiskError } from "../../blocks/disk-error.ts";
import type { ByteString } from "../byte-string.ts";
import { hole } from "./block-runs.ts";
import { foldCase } from "./casefold.ts";
import { readEntries } from "./directory.ts";
import { ExtentPainter } from "./extent-painter.ts";
import type { DirectoryChange } from "./fast-commit-changes.ts";
import type { Parts } from "./filesystem.ts";
import { fileTypeBits, iBlockOffset, iBlockSizeBytes, inodeFlags, toNodeType, type Inode } from "./inode.ts";
import type { FastCommitTag } from "./jbd2/fast-commit-tags.ts";

const generationOffset = 0x64;
const linkCountOffset = 0x1a;
const endOfLogicalBlocks = 2 ** 32 - 1;
/** Pieces of all files changed, as they were before: memory for a hundred megabytes of them. */
const maxBaseExtents = 4_000_000;

/**
 * Replays fast commits: not into the disk's structures, as Linux does, but into `parts.changes`,
 * where every reader looks first. What Linux passes over in silence (an inode that can't be read)
 * is passed over here.
 */
export async function applyFastCommits(tags: readonly FastCommitTag[], parts: Parts): Promise<void> {
  if (tags.length === 0) return;
  const replay = new Replay(parts);
  for (const tag of tags) {
    switch (tag.kind) {
      case "inode": await replay.inode(tag.inode, tag.bytes); break;
      case "add-range": await replay.range(tag.inode, tag.logical, tag.count, tag.unwritten ? hole : tag.physical); break;
      case "del-range": await replay.range(tag.inode, tag.logical, tag.count, hole); break;
      case "create": await replay.create(tag.parent, tag.inode, tag.name); break;
      case "link": await replay.link(tag.parent, tag.inode, tag.name); break;
      case "unlink": await replay.unlink(tag.parent, tag.inode, tag.name);
    }
  }
  await replay.finish();
}

interface DirectoryNames {
  readonly folds: boolean;
  /** By name, or by folded name. */
  readonly entries: Map<ByteString, { readonly name: ByteString; readonly node: number }>;
}

function toKey(names: DirectoryNames, name: ByteString): ByteString {
  return names.folds ? (foldCase(name) ?? name) : name;
}

function isValidName(name: ByteString): boolean {
  return name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
}

class Replay {
  readonly #parts: Parts;
  readonly #painters = new Map<number, ExtentPainter>();
  /** Of each directory touched: its names, read once. A fast commit area can hold tens of thousands of changes. */
  readonly #names = new Map<number, DirectoryNames>();
  #baseExtentsLeft = maxBaseExtents;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The new inode replaces the old one but for i_block: block numbers come as ranges of their own. */
  async inode(number: number, stored: Buffer): Promise<void> {
    const { superblock, inodes, changes } = this.#parts;
    if (number < 1 || number > superblock.inodeCount) return;
    const bytes = Buffer.from((await inodes.readRaw(number)).bytes);
    stored.copy(bytes, 0, 0, iBlockOffset);
    stored.copy(bytes, generationOffset, generationOffset);
    const flags = bytes.readUInt32LE(0x20);
    const kind = bytes.readUInt16LE(0) & fileTypeBits.mask;
    if ((flags & inodeFlags.extents) !== 0) {
      if (bytes.readUInt16LE(iBlockOffset) !== extentMagic) {
        bytes.fill(0, iBlockOffset, iBlockOffset + 12);
        bytes.writeUInt16LE(extentMagic, iBlockOffset);
        bytes.writeUInt16LE(4, iBlockOffset + 4);
      }
    } else if ((flags & inodeFlags.inlineData) !== 0 || (kind !== fileTypeBits.regular && kind !== fileTypeBits.directory)) {
      // Inline data, link targets and device numbers stand where others have block numbers.
      stored.copy(bytes, iBlockOffset, iBlockOffset, iBlockOffset + iBlockSizeBytes);
    }
    changes.inodes.set(number, bytes);
    inodes.forget();
  }

  /** Maps logical blocks anew, to `physical` and on, or to nothing. */
  async range(number: number, logical: number, count: number, physical: number): Promise<void> {
    const { superblock } = this.#parts;
    const inode = await this.#find(number);
    if (inode === undefined || count === 0) return;
    if (physical !== hole && physical + count > superblock.blockCount) return;
    const painter = this.#painters.get(number) ?? (await this.#paintBase(inode));
    painter.paint(logical, Math.min(logical + count, endOfLogicalBlocks), physical);
  }

  async #paintBase(inode: Inode): Promise<ExtentPainter> {
    const painter = new ExtentPainter();
    this.#painters.set(inode.number, painter);
    if ((inode.flags & inodeFlags.inlineData) !== 0) return painter;
    const runs = await this.#parts.contents.mapAll(inode, 0, endOfLogicalBlocks, this.#baseExtentsLeft);
    this.#baseExtentsLeft -= runs.length;
    for (const run of runs) {
      if (run.physical !== hole) painter.paint(run.logical, run.logical + run.count, run.physical);
    }
    return painter;
  }

  async create(parent: number, number: number, name: string): Promise<void> {
    const inode = await this.#find(number);
    if (inode === undefined) return;
    if (inode.type === "directory") {
      this.#parts.changes.directories.set(number, { created: true, removed: new Set(), added: new Map() });
      this.#names.set(number, { folds: (inode.flags & inodeFlags.casefold) !== 0, entries: new Map() });
    }
    await this.#addEntry(parent, inode, name);
    this.#setLinkCount(inode, () => 1);
  }

  async link(parent: number, number: number, name: string): Promise<void> {
    const inode = await this.#find(number);
    if (inode === undefined) return;
    if (await this.#addEntry(parent, inode, name)) this.#setLinkCount(inode, (count) => count + 1);
  }

  async unlink(parent: number, number: number, name: string): Promise<void> {
    const inode = await this.#find(number);
    const directory = await this.#find(parent);
    if (inode === undefined || directory?.type !== "directory") return;
    const names = await this.#namesOf(directory);
    const entry = names.entries.get(toKey(names, name));
    if (entry === undefined) return;
    // Renamed over in the meantime: then the name stays, but the link is gone all the same.
    if (entry.node === number) {
      const change = this.#directoryChange(parent);
      change.added.delete(entry.name);
      change.removed.add(entry.name);
      names.entries.delete(toKey(names, name));
    }
    this.#setLinkCount(inode, (count) => Math.max(0, count - 1));
    if (inode.bytes.readUInt16LE(linkCountOffset) <= 1) {
      // Deleted: the blocks are given back, and a later life of the inode begins without any.
      this.#painters.set(number, new ExtentPainter());
      this.#parts.changes.directories.delete(number);
      this.#names.delete(number);
    }
  }

  async #addEntry(parent: number, inode: Inode, name: string): Promise<boolean> {
    const directory = await this.#find(parent);
    if (directory?.type !== "directory" || !isValidName(name)) return false;
    // It may have reached the disk before the crash, or an earlier replay may have.
    const names = await this.#namesOf(directory);
    if (names.entries.has(toKey(names, name))) return false;
    names.entries.set(toKey(names, name), { name, node: inode.number });
    this.#directoryChange(parent).added.set(name, { inode: inode.number, type: toNodeType(inode.mode) });
    return true;
  }

  async #namesOf(directory: Inode): Promise<DirectoryNames> {
    let names = this.#names.get(directory.number);
    if (names !== undefined) return names;
    names = { folds: (directory.flags & inodeFlags.casefold) !== 0, entries: new Map() };
    const { superblock, contents, changes } = this.#parts;
    const format = { superblock, directory, showEncryptedName: undefined, encryptedNameError: undefined };
    for await (const batch of readEntries(contents, format, changes)) {
      for (const { name, node } of batch) names.entries.set(toKey(names, name), { name, node });
    }
    this.#names.set(directory.number, names);
    return names;
  }

  #directoryChange(number: number): DirectoryChange {
    const { directories } = this.#parts.changes;
    let change = directories.get(number);
    if (change === undefined) directories.set(number, (change = { created: false, removed: new Set(), added: new Map() }));
    return change;
  }

  #setLinkCount(inode: Inode, toCount: (count: number) => number): void {
    const bytes = Buffer.from(inode.bytes);
    bytes.writeUInt16LE(toCount(bytes.readUInt16LE(linkCountOffset)), linkCountOffset);
    this.#parts.changes.inodes.set(inode.number, bytes);
    this.#parts.inodes.forget();
  }

  async #find(number: number): Promise<Inode | undefined> {
    try {
      return await this.#parts.inodes.get(number);
    } catch (error) {
      if (error instanceof DiskError && error.code === "corrupt") return undefined;
      throw error;
    }
  }

  /** Ranges only join up once all are known. */
  async finish(): Promise<void> {
    for (const [number, painter] of this.#painters) this.#parts.changes.extents.set(number, painter.toExtents());
  }
}

const extentMagic = 0xf30a;
