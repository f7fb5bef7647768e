import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import type { Attributes, Details, FileExtent, FileSystem, FileSystemFacts, Timestamp } from "../filesystem.ts";
import { NodeCache } from "../node-cache.ts";
import { Contents } from "./contents.ts";
import { PHANTOM_BYTES, readEntries, type SquashEntry } from "./directory.ts";
import { NO_XATTR, readInode, type Inode } from "./inode.ts";
import { LookupTable } from "./lookup-table.ts";
import { Metadata } from "./metadata.ts";
import type { SquashNode } from "./node.ts";
import type { Superblock } from "./superblock.ts";
import { ExtendedAttributes } from "./xattr.ts";

const CACHED_INODES = 4096;
const ID_BYTES = 4;
const FRAGMENT_BYTES = 16;
/** Inodes read at the same time during one `stat`. */
const STAT_CONCURRENCY = 16;

/** Squashfs 4.0, as Linux mounts it. */
export class SquashFileSystem implements FileSystem<SquashNode> {
  readonly facts: FileSystemFacts;
  readonly root: SquashNode;
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #metadata: Metadata;
  readonly #ids: LookupTable;
  readonly #contents: Contents;
  readonly #inodes = new NodeCache<Inode>(CACHED_INODES);
  #attributes: Promise<ExtendedAttributes> | undefined;

  constructor(source: BlockSource, superblock: Superblock) {
    const { bytesUsed, blockBytes, compression, idTable, idCount, fragmentTable, fragmentCount } = superblock;
    this.facts = { type: "squashfs", label: undefined, uuid: undefined, sizeBytes: bytesUsed, usedBytes: bytesUsed, blockSizeBytes: blockBytes, state: "clean" };
    this.root = { reference: superblock.rootReference, damage: undefined };
    this.#source = source;
    this.#superblock = superblock;
    this.#metadata = new Metadata(source, compression, bytesUsed);
    this.#ids = new LookupTable(source, this.#metadata, "id", idTable, idCount, ID_BYTES);
    const fragments = fragmentTable === undefined ? undefined : new LookupTable(source, this.#metadata, "fragment", fragmentTable, fragmentCount, FRAGMENT_BYTES);
    this.#contents = new Contents(source, superblock, this.#metadata, fragments);
  }

  async *readDirectory(directory: SquashNode): AsyncGenerator<readonly SquashEntry[]> {
    const inode = await this.#inode(directory);
    if (inode.type !== "directory") throw corrupt(`squashfs inode ${inode.number}`, undefined, "not a directory, though its name says so");
    const { directoryTable, bytesUsed } = this.#superblock;
    const cursor = this.#metadata.cursor(directoryTable + inode.startBlock, inode.offset, bytesUsed);
    yield* readEntries(cursor, Number(inode.size) - PHANTOM_BYTES, `squashfs directory, inode ${inode.number}`);
  }

  /** Throws the error of a damaged directory rather than say that a name isn't there. */
  async lookup(directory: SquashNode, name: ByteString): Promise<SquashEntry | undefined> {
    let damage: DiskError | undefined;
    for await (const entries of this.readDirectory(directory)) {
      for (const entry of entries) {
        if (entry.name === name) return entry;
        damage ??= entry.error;
      }
    }
    if (damage !== undefined) throw damage;
    return undefined;
  }

  async stat(nodes: readonly SquashNode[]): Promise<(Attributes | DiskError)[]> {
    const results = new Array<Attributes | DiskError>(nodes.length);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < nodes.length) {
        const index = next++;
        try {
          results[index] = await this.#stat(nodes[index]!);
        } catch (error) {
          results[index] = toDiskError(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(STAT_CONCURRENCY, nodes.length) }, worker));
    return results;
  }

  async #stat(node: SquashNode): Promise<Attributes> {
    const inode = await this.#inode(node);
    const uid = (await this.#ids.entry(inode.uidIndex)).getUint32(0, true);
    const gid = (await this.#ids.entry(inode.gidIndex)).getUint32(0, true);
    return {
      type: inode.type,
      id: inode.number,
      size: inode.size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(inode.size) : inode.size,
      mode: inode.mode,
      uid,
      gid,
      linkCount: inode.linkCount,
      deviceMajor: inode.deviceMajor,
      deviceMinor: inode.deviceMinor,
      mtimeSeconds: inode.mtimeSeconds,
      mtimeNanoseconds: 0,
      mtimeDigits: 0,
    };
  }

  /** Only the one time is stored; Linux shows it as all the others. */
  async details(node: SquashNode): Promise<Details> {
    const inode = await this.#inode(node);
    const time: Timestamp = { seconds: inode.mtimeSeconds, nanoseconds: 0, digits: 0 };
    const details = { accessedAt: time, changedAt: time, createdAt: undefined };
    const { xattrIdTable } = this.#superblock;
    if (inode.xattrIndex === NO_XATTR || xattrIdTable === undefined) return { ...details, xattrs: new Map() };
    try {
      const attributes = await this.#openAttributes(xattrIdTable);
      return { ...details, xattrs: await attributes.read(inode.xattrIndex) };
    } catch (error) {
      return { ...details, xattrs: new Map(), xattrError: toDiskError(error) };
    }
  }

  async readLink(node: SquashNode): Promise<ByteString> {
    const { target, number } = await this.#inode(node);
    if (target === undefined || target.length === 0) throw corrupt(`squashfs inode ${number}`, undefined, "a symlink without a target");
    const text = toByteString(target);
    // Linux ends the target there; nobody means that.
    if (text.includes("\0")) throw corrupt(`squashfs inode ${number}`, undefined, "a symlink target that holds a zero byte");
    return text;
  }

  extents(node: SquashNode, offset: number, length: number): MaybePromise<FileExtent[]> {
    const known = this.#inodes.get(node.reference);
    if (known !== undefined) return this.#contents.extents(known, offset, length);
    return this.#inode(node).then((inode) => this.#contents.extents(inode, offset, length));
  }

  async #inode(node: SquashNode): Promise<Inode> {
    if (node.damage !== undefined) throw node.damage;
    const known = this.#inodes.get(node.reference);
    if (known !== undefined) return known;
    const { inodeTable, directoryTable } = this.#superblock;
    const position = inodeTable + Math.floor(node.reference / 0x10000);
    const cursor = this.#metadata.cursor(position, node.reference % 0x10000, directoryTable);
    const inode = await readInode(cursor);
    this.#inodes.set(node.reference, inode);
    return inode;
  }

  /** A failure is not remembered. */
  async #openAttributes(offset: number): Promise<ExtendedAttributes> {
    this.#attributes ??= ExtendedAttributes.open(this.#source, this.#metadata, offset);
    try {
      return await this.#attributes;
    } catch (error) {
      this.#attributes = undefined;
      throw error;
    }
  }
}
