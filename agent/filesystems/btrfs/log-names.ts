// What replaying a log does to names: directory entries, references and link counts.
// Source: the behaviour of Linux fs/btrfs/tree-log.c.
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import { byteStringToBytes, type ByteString } from "../byte-string.ts";
import { dirItemHeaderBytes, hashName, parseDirItems, type DirItem } from "./dir-item.ts";
import type { EditableTree } from "./editable-tree.ts";
import { inodeFields, inodeItemBytes } from "./inode-item.ts";
import { buildInodeRefs, hashExtref, parseInodeRefs, type InodeRef } from "./inode-ref.ts";
import { itemTypes, makeKey, maxOffset, objectidOf, offsetOf, writeKey, type Key } from "./key.ts";
import { itemData, keyAt } from "./node.ts";
import type { Tree } from "./tree.ts";

const directoryType = 2;
/** The type of an entry by the file type bits of the mode. */
const entryTypes: Readonly<Record<number, number>> = { 0o10: 1, 0o4: 2, 0o2: 3, 0o6: 4, 0o1: 5, 0o14: 6, 0o12: 7 };
const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);

/** The names of one subvolume while its log is replayed. */
export class LogNames {
  readonly #tree: EditableTree;
  readonly #log: Tree;
  /** Inodes whose links are counted anew in the end. */
  readonly #recount = new Set<number>();

  constructor(tree: EditableTree, log: Tree) {
    this.#tree = tree;
    this.#log = log;
  }

  recountLinks(inode: number): void {
    this.#recount.add(inode);
  }

  /** A copy of the inode's item; undefined where there is none. */
  async inode(number: number): Promise<Buffer | undefined> {
    const data = await this.#tree.find(inodeKey(number));
    if (data !== undefined && data.length !== inodeItemBytes) throw corrupt(`btrfs inode ${number}`, undefined, `the item has ${data.length} bytes`);
    return data === undefined ? undefined : Buffer.from(data);
  }

  /**
   * Removes the entries that a log says nothing of although it speaks for their range; with `all`, every entry.
   * Ranges are of indexes; old kernels also wrote ranges of hashes.
   */
  async replayDeletes(directory: number, all: boolean): Promise<void> {
    if ((await this.inode(directory)) === undefined) return;
    for (const [rangeType, entryType] of [[itemTypes.dirLogItem, itemTypes.dirItem], [itemTypes.dirLogIndex, itemTypes.dirIndex]] as const) {
      const ranges = all ? [[0n, maxOffset] as const] : await this.#ranges(directory, rangeType);
      for (const [start, end] of ranges) {
        for (const { key, data } of await this.#tree.collect(makeKey(directory, entryType, start), makeKey(directory, entryType, end))) {
          const logged = all ? [] : await this.#loggedEntries(key);
          for (const entry of parseDirItems(data, `btrfs directory ${directory}`)) {
            if (logged.some(({ name }) => name === entry.name)) continue;
            await this.#drop(directory, entry);
          }
        }
      }
    }
  }

  async #ranges(directory: number, type: number): Promise<(readonly [bigint, bigint])[]> {
    const ranges: (readonly [bigint, bigint])[] = [];
    for await (const found of this.#log.scan(makeKey(directory, type, 0), makeKey(directory, type, maxOffset))) {
      if (found instanceof DiskError) throw found;
      for (let index = found.start; index < found.end; index++) {
        const key = keyAt(found.leaf, index);
        const data = itemData(found.leaf, index);
        if (data.length < 8) throw corrupt(`btrfs log of directory ${directory}`, undefined, `a range of ${data.length} bytes`);
        ranges.push([(BigInt(key.offsetHigh) << 32n) | BigInt(key.offsetLow), data.readBigUInt64LE(0)]);
      }
    }
    return ranges;
  }

  async #loggedEntries(key: Key): Promise<DirItem[]> {
    const item = await this.#log.find(key);
    return item === undefined ? [] : parseDirItems(item.data, "btrfs log entry");
  }

  /** An entry that the log has for a directory. */
  async replayEntry(key: Key, data: Buffer): Promise<void> {
    const directory = objectidOf(key);
    const index = offsetOf(key);
    for (const entry of parseDirItems(data, `btrfs log of directory ${directory}`)) {
      if ((await this.inode(directory)) === undefined) throw corrupt(`btrfs log of directory ${directory}`, undefined, "there is no such inode");
      const target = objectidOf(entry.location);
      const isThere = (await this.inode(target)) !== undefined;
      const byName = await this.#findEntry(directory, entry.name);
      const byIndex = await this.#findIndex(directory, index, entry.name);
      const same = (other: DirItem | undefined): boolean => other !== undefined && isSameTarget(other, entry);
      if (same(byName) && same(byIndex)) continue;
      if (isThere && byName !== undefined && !same(byName)) await this.#drop(directory, byName);
      const left = await this.#findIndex(directory, index, entry.name);
      if (isThere && left !== undefined && !isSameTarget(left, entry)) await this.#drop(directory, left);
      // Where the log has the reference as well, that brings the entry.
      if (await this.#hasLoggedRef(target, directory, entry.name)) continue;
      if (!isThere || (await this.#findEntry(directory, entry.name)) !== undefined) continue;
      await this.#addRef(target, { directory, index, name: entry.name });
      await this.#addEntry(directory, target, entry.name, index);
      if (entry.type !== directoryType) this.recountLinks(target);
    }
  }

  /** The references that the log has of an inode, in one item of either type. */
  async replayRefs(key: Key, data: Buffer): Promise<void> {
    const inode = objectidOf(key);
    const refs = parseInodeRefs(key, data);
    if (refs[0] !== undefined && (await this.inode(refs[0].directory)) === undefined) return;
    if ((await this.inode(inode)) === undefined) throw corrupt(`btrfs log of inode ${inode}`, undefined, "a reference to an inode that is not there");
    for (const ref of refs) {
      if ((await this.inode(ref.directory)) === undefined) return;
      if (await this.#isInPlace(inode, ref)) continue;
      // The root directory refers to itself, and stays.
      if (key.type === itemTypes.inodeRef && inode === ref.directory && (await this.#tree.find(key)) !== undefined) return;
      await this.#dropUnlogged(inode, makeKey(inode, itemTypes.inodeRef, ref.directory), ref.directory);
      await this.#dropUnlogged(inode, makeKey(inode, itemTypes.inodeExtref, hashExtref(ref.directory, ref.name)), ref.directory);
      const byIndex = await this.#findIndex(ref.directory, ref.index, ref.name);
      if (byIndex !== undefined) await this.#drop(ref.directory, byIndex);
      const byName = await this.#findEntry(ref.directory, ref.name);
      if (byName !== undefined) await this.#drop(ref.directory, byName);
      if (await this.#hasRef(inode, ref.directory, ref.name)) await this.#unlink(ref.directory, inode, ref.name);
      await this.#addEntry(ref.directory, inode, ref.name, ref.index);
    }
    for (const old of await this.#refs(key)) {
      if (refs.some((ref) => ref.directory === old.directory && ref.name === old.name)) continue;
      if ((await this.inode(old.directory)) !== undefined) await this.#unlink(old.directory, inode, old.name);
    }
    this.#tree.set(key, Buffer.from(data));
  }

  /** References in the tree that the log's item of the same key lacks. */
  async #dropUnlogged(inode: number, key: Key, directory: number): Promise<void> {
    const existing = (await this.#refs(key)).filter((ref) => ref.directory === directory);
    if (existing.length === 0) return;
    const item = await this.#log.find(key);
    const logged = item === undefined ? [] : parseInodeRefs(key, item.data);
    for (const ref of existing) {
      if (!logged.some((other) => other.directory === ref.directory && other.name === ref.name)) await this.#unlink(directory, inode, ref.name);
    }
  }

  /** Counts the links of every inode that was touched; folders left without one are emptied. */
  async finish(): Promise<void> {
    // A folder that is emptied adds what was in it; each round removes entries, so this ends.
    while (this.#recount.size > 0) {
      const inode = Math.max(...this.#recount);
      this.#recount.delete(inode);
      const item = await this.inode(inode);
      if (item === undefined) continue;
      let count = 0;
      for (const type of [itemTypes.inodeRef, itemTypes.inodeExtref]) {
        for (const { key, data } of await this.#tree.collect(makeKey(inode, type, 0), makeKey(inode, type, maxOffset))) count += parseInodeRefs(key, data).length;
      }
      item.writeUInt32LE(count, inodeFields.nlink);
      this.#tree.set(inodeKey(inode), item);
      if (count === 0 && item.readUInt32LE(inodeFields.mode) >>> 12 === 0o4) await this.replayDeletes(inode, true);
    }
  }

  async #drop(directory: number, entry: DirItem): Promise<void> {
    if (entry.location.type !== itemTypes.inodeItem) return;
    const inode = objectidOf(entry.location);
    this.recountLinks(inode);
    await this.#unlink(directory, inode, entry.name);
  }

  /** Takes a name away: the entry, its index and the reference. */
  async #unlink(directory: number, inode: number, name: ByteString): Promise<void> {
    let index: number | undefined;
    for (const key of refKeys(inode, directory, name)) {
      const refs = await this.#refs(key);
      const found = refs.find((ref) => ref.directory === directory && ref.name === name);
      if (found === undefined) continue;
      index = found.index;
      const rest = refs.filter((ref) => ref !== found);
      if (rest.length === 0) this.#tree.delete(key);
      else this.#tree.set(key, buildInodeRefs(key, rest));
      break;
    }
    const entryKey = makeKey(directory, itemTypes.dirItem, hashName(name));
    const entries = await this.#entries(entryKey);
    const others = entries.filter((entry) => entry.name !== name);
    if (others.length === 0) this.#tree.delete(entryKey);
    else if (others.length < entries.length) this.#tree.set(entryKey, Buffer.concat(others.map(buildEntry)));
    if (index !== undefined) this.#tree.delete(makeKey(directory, itemTypes.dirIndex, index));
    if (entries.length > others.length) await this.#resize(directory, -2 * byteStringToBytes(name).length);
  }

  async #addEntry(directory: number, inode: number, name: ByteString, index: number): Promise<void> {
    const item = await this.inode(inode);
    const type = item === undefined ? undefined : entryTypes[item.readUInt32LE(inodeFields.mode) >>> 12];
    if (type === undefined) throw corrupt(`btrfs log of inode ${inode}`, undefined, "its mode has no file type");
    const entry = buildEntry({ location: inodeKey(inode), type, name, data: Buffer.alloc(0) });
    const key = makeKey(directory, itemTypes.dirItem, hashName(name));
    const existing = await this.#tree.find(key);
    this.#tree.set(key, existing === undefined ? entry : Buffer.concat([existing, entry]));
    this.#tree.set(makeKey(directory, itemTypes.dirIndex, index), entry);
    await this.#resize(directory, 2 * byteStringToBytes(name).length);
  }

  /** A directory's size is twice the length of its names. */
  async #resize(directory: number, change: number): Promise<void> {
    const item = await this.inode(directory);
    if (item === undefined) return;
    const size = item.readBigUInt64LE(inodeFields.size) + BigInt(change);
    item.writeBigUInt64LE(size < 0n || size > maxSafe ? 0n : size, inodeFields.size);
    this.#tree.set(inodeKey(directory), item);
  }

  async #addRef(inode: number, ref: InodeRef): Promise<void> {
    const key = makeKey(inode, itemTypes.inodeRef, ref.directory);
    this.#tree.set(key, buildInodeRefs(key, [...(await this.#refs(key)), ref]));
  }

  async #isInPlace(inode: number, ref: InodeRef): Promise<boolean> {
    const byIndex = await this.#findIndex(ref.directory, ref.index, ref.name);
    if (byIndex === undefined || objectidOf(byIndex.location) !== inode) return false;
    const byName = await this.#findEntry(ref.directory, ref.name);
    return byName !== undefined && objectidOf(byName.location) === inode;
  }

  async #refs(key: Key): Promise<InodeRef[]> {
    const data = await this.#tree.find(key);
    return data === undefined ? [] : parseInodeRefs(key, data);
  }

  async #hasRef(inode: number, directory: number, name: ByteString): Promise<boolean> {
    for (const key of refKeys(inode, directory, name)) {
      if ((await this.#refs(key)).some((ref) => ref.directory === directory && ref.name === name)) return true;
    }
    return false;
  }

  async #hasLoggedRef(inode: number, directory: number, name: ByteString): Promise<boolean> {
    if (!Number.isSafeInteger(inode)) return false;
    for (const key of refKeys(inode, directory, name)) {
      const item = await this.#log.find(key);
      if (item !== undefined && parseInodeRefs(key, item.data).some((ref) => ref.directory === directory && ref.name === name)) return true;
    }
    return false;
  }

  async #entries(key: Key): Promise<DirItem[]> {
    const data = await this.#tree.find(key);
    return data === undefined ? [] : parseDirItems(data, `btrfs directory ${objectidOf(key)}`);
  }

  async #findEntry(directory: number, name: ByteString): Promise<DirItem | undefined> {
    return (await this.#entries(makeKey(directory, itemTypes.dirItem, hashName(name)))).find((entry) => entry.name === name);
  }

  async #findIndex(directory: number, index: number, name: ByteString): Promise<DirItem | undefined> {
    return (await this.#entries(makeKey(directory, itemTypes.dirIndex, index))).find((entry) => entry.name === name);
  }
}

export function inodeKey(inode: number): Key {
  return makeKey(inode, itemTypes.inodeItem, 0);
}

function refKeys(inode: number, directory: number, name: ByteString): [Key, Key] {
  return [makeKey(inode, itemTypes.inodeRef, directory), makeKey(inode, itemTypes.inodeExtref, hashExtref(directory, name))];
}

function isSameTarget(a: DirItem, b: DirItem): boolean {
  return objectidOf(a.location) === objectidOf(b.location) && a.location.type === b.location.type && a.type === b.type;
}

function buildEntry({ location, type, name, data }: DirItem): Buffer {
  const bytes = byteStringToBytes(name);
  const header = Buffer.alloc(dirItemHeaderBytes);
  writeKey(header, 0, location);
  header.writeUInt16LE(data.length, 0x19);
  header.writeUInt16LE(bytes.length, 0x1b);
  header[0x1d] = type;
  return Buffer.concat([header, bytes, data]);
}
