// The log trees: what was fsynced after the last commit. They are replayed as Linux does at mount, in memory.
// Source: the behaviour of Linux fs/btrfs/tree-log.c.
//
// The tree at log_root, a generation ahead of the superblock, has a root item (-6, 132, subvolume) for the
// log of each subvolume. A log holds copies of items of the subvolume's tree, checksums of the new data,
// and items (directory, 72, first) → u64 last: ranges of a directory's indexes that the log speaks for.
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import type { Checksum } from "./checksum.ts";
import { checksumObjectid } from "./data-reader.ts";
import { parseDirItems } from "./dir-item.ts";
import { EditableTree, collectItems } from "./editable-tree.ts";
import { inodeFields, inodeItemBytes } from "./inode-item.ts";
import { itemTypes, makeKey, maxOffset, objectidOf, offsetOf, type Key } from "./key.ts";
import { dropExtents, replayExtent, type LogExtentOptions } from "./log-extents.ts";
import { inodeKey, LogNames } from "./log-names.ts";
import { firstKeyOfAll, itemData, keyAt, type Item } from "./node.ts";
import type { NodeReader } from "./node-reader.ts";
import { parseRootItem } from "./root-item.ts";
import type { Subvolumes } from "./subvolumes.ts";
import type { Superblock } from "./superblock.ts";
import { Tree } from "./tree.ts";
import type { TreeChanges } from "./tree-changes.ts";

const treeLog = BigInt.asUintN(64, -6n);
const lastKeyOfAll = makeKey(maxOffset, 255, maxOffset);
/** Linux never logs for so many at once; a bound for hostile disks. */
const maxLogs = 100_000;

export interface Replayed {
  /** By subvolume. */
  readonly changes: ReadonlyMap<number, TreeChanges>;
  /** Checksums of data, by the logical address of their sector. */
  readonly checksums: ReadonlyMap<number, Buffer>;
}

/** @param subvolumes as they are before the replay */
export async function replayLogs(superblock: Superblock, nodes: NodeReader, subvolumes: Subvolumes): Promise<Replayed> {
  const changes = new Map<number, TreeChanges>();
  const checksums = new Map<number, Buffer>();
  if (superblock.logRootLogical === 0) return { changes, checksums };
  const generation = superblock.generation + 1;
  const logRoots = new Tree(nodes, { logical: superblock.logRootLogical, level: superblock.logRootLevel, generation, owner: treeLog });
  const roots = await collectItems(logRoots, makeKey(treeLog, itemTypes.rootItem, 0), makeKey(treeLog, itemTypes.rootItem, maxOffset));
  if (roots.length > maxLogs) throw corrupt("btrfs tree of log trees", superblock.logRootLogical, `${roots.length} logs, expected at most ${maxLogs}`);
  for (const { key, data } of roots) {
    const subvolume = offsetOf(key);
    if (!Number.isSafeInteger(subvolume)) throw corrupt("btrfs tree of log trees", superblock.logRootLogical, `a log of subvolume ${subvolume}`);
    // The log of a subvolume that has been deleted since is of no use.
    const root = await subvolumes.findRoot(subvolume);
    if (root === undefined || root.refs === 0) continue;
    const log = new Tree(nodes, parseRootItem(data, BigInt(subvolume), treeLog).pointer);
    const tree = new EditableTree(await subvolumes.tree(subvolume));
    await new LogReplay(tree, log, superblock).run();
    changes.set(subvolume, tree.changes);
    await collectChecksums(log, superblock.checksum, superblock.sectorBytes, checksums);
  }
  return { changes, checksums };
}

async function collectChecksums(log: Tree, checksum: Checksum, sectorBytes: number, found: Map<number, Buffer>): Promise<void> {
  const type = itemTypes.extentCsum;
  for (const { key, data } of await collectItems(log, makeKey(checksumObjectid, type, 0), makeKey(checksumObjectid, type, maxOffset))) {
    const start = offsetOf(key);
    for (let at = 0, index = 0; at + checksum.sizeBytes <= data.length; at += checksum.sizeBytes, index++) {
      found.set(start + index * sectorBytes, data.subarray(at, at + checksum.sizeBytes));
    }
  }
}

class LogReplay {
  readonly #tree: EditableTree;
  readonly #log: Tree;
  readonly #names: LogNames;
  readonly #options: LogExtentOptions;
  /** Files without a name when they were logged: nothing leads to them. */
  readonly #nameless = new Set<number>();

  constructor(tree: EditableTree, log: Tree, options: LogExtentOptions) {
    this.#tree = tree;
    this.#log = log;
    this.#names = new LogNames(tree, log);
    this.#options = options;
  }

  async run(): Promise<void> {
    await this.#forEach(async ({ key, data }) => {
      if (key.type === itemTypes.inodeItem) await this.#replayInode(key, data);
    });
    await this.#forEach(async ({ key, data }) => {
      if (key.type === itemTypes.dirIndex) await this.#names.replayEntry(key, data);
    });
    await this.#forEach(async ({ key, data }) => {
      if (key.type === itemTypes.xattrItem) this.#tree.set(key, Buffer.from(data));
      else if (key.type === itemTypes.inodeRef || key.type === itemTypes.inodeExtref) await this.#names.replayRefs(key, data);
      else if (key.type === itemTypes.extentData) await replayExtent(this.#tree, this.#options, key, data);
    });
    await this.#names.finish();
  }

  async #forEach(use: (item: Item) => Promise<void>): Promise<void> {
    for await (const found of this.#log.scan(firstKeyOfAll, lastKeyOfAll)) {
      if (found instanceof DiskError) throw found;
      for (let index = found.start; index < found.end; index++) {
        const key = keyAt(found.leaf, index);
        const objectid = objectidOf(key);
        if (!Number.isSafeInteger(objectid) || this.#nameless.has(objectid)) continue;
        await use({ key, data: itemData(found.leaf, index) });
      }
    }
  }

  async #replayInode(key: Key, data: Buffer): Promise<void> {
    const number = objectidOf(key);
    if (data.length !== inodeItemBytes) throw corrupt(`btrfs log of inode ${number}`, undefined, `an item of ${data.length} bytes`);
    if (data.readUInt32LE(inodeFields.nlink) === 0) {
      this.#nameless.add(number);
      return;
    }
    await this.#deleteAttributes(number);
    const type = data.readUInt32LE(inodeFields.mode) >>> 12;
    if (type === 0o4) await this.#names.replayDeletes(number, false);
    const inode = await this.#overwriteInode(number, data);
    if (type === 0o10) {
      const { sectorBytes } = this.#options;
      const size = inode.readBigUInt64LE(inodeFields.size);
      const from = Number((size + BigInt(sectorBytes) - 1n) / BigInt(sectorBytes)) * sectorBytes;
      await dropExtents(this.#tree, this.#options, number, from, Infinity);
    }
    this.#names.recountLinks(number);
  }

  /** A log has all attributes of the inodes it has. */
  async #deleteAttributes(number: number): Promise<void> {
    const what = `btrfs extended attributes of inode ${number}`;
    const type = itemTypes.xattrItem;
    for (const { key, data } of await this.#tree.collect(makeKey(number, type, 0), makeKey(number, type, maxOffset))) {
      const logged = await this.#log.find(key);
      const names = new Set(logged === undefined ? [] : parseDirItems(logged.data, what).map(({ name }) => name));
      // Where some stay, the log's item takes the place of this one.
      if (!parseDirItems(data, what).some(({ name }) => names.has(name))) this.#tree.delete(key);
    }
  }

  /**
   * The inode as it is then. A generation of 0 means that the log only says that the inode is there. The
   * size of a directory follows from the names that are added and removed.
   */
  async #overwriteInode(number: number, data: Buffer): Promise<Buffer> {
    const logged = Buffer.from(data);
    const existing = await this.#names.inode(number);
    const mode = logged.readUInt32LE(inodeFields.mode) >>> 12;
    if (existing !== undefined && logged.readBigUInt64LE(inodeFields.generation) === 0n) {
      const size = logged.readBigUInt64LE(inodeFields.size);
      const isFile = mode === 0o10 && existing.readUInt32LE(inodeFields.mode) >>> 12 === 0o10;
      if (isFile && size !== 0n) existing.writeBigUInt64LE(size, inodeFields.size);
      this.#tree.set(inodeKey(number), existing);
      return existing;
    }
    if (mode === 0o4) {
      const wasDirectory = existing !== undefined && existing.readUInt32LE(inodeFields.mode) >>> 12 === 0o4;
      logged.writeBigUInt64LE(wasDirectory ? existing.readBigUInt64LE(inodeFields.size) : 0n, inodeFields.size);
    }
    this.#tree.set(inodeKey(number), logged);
    return logged;
  }
}
