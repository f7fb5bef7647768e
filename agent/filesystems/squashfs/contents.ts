import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import type { FileExtent } from "../filesystem.ts";
import { NodeCache } from "../node-cache.ts";
import { BlockList, STORED_FLAG, type StoredBlock } from "./block-list.ts";
import { decompress } from "./decompress.ts";
import type { Inode } from "./inode.ts";
import type { LookupTable } from "./lookup-table.ts";
import type { Metadata } from "./metadata.ts";
import type { Superblock } from "./superblock.ts";

/** Extents given at a time: a caller streams them, more would only cost memory. */
const MAX_EXTENTS = 256;
/** Blocks of up to 1 MiB, decompressed: fragments hold the ends of many files, and small reads follow one another. */
const DECODED_BLOCKS = 8;

/** Where the bytes of files lie. */
export class Contents {
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #metadata: Metadata;
  readonly #fragments: LookupTable | undefined;
  readonly #lists = new WeakMap<Inode, BlockList>();
  readonly #decoded = new NodeCache<Uint8Array | DiskError>(DECODED_BLOCKS);

  constructor(source: BlockSource, superblock: Superblock, metadata: Metadata, fragments: LookupTable | undefined) {
    this.#source = source;
    this.#superblock = superblock;
    this.#metadata = metadata;
    this.#fragments = fragments;
  }

  /** As FileSystem.extents; stops before what can't be read, and throws where that comes first. */
  async extents(inode: Inode, offset: number, length: number): Promise<FileExtent[]> {
    const extents: FileExtent[] = [];
    try {
      await this.#collect(extents, inode, offset, Math.min(Number(inode.size), offset + length));
    } catch (error) {
      if (extents.length === 0) throw error;
    }
    return extents;
  }

  async #collect(extents: FileExtent[], inode: Inode, offset: number, end: number): Promise<void> {
    const { blockBytes } = this.#superblock;
    const list = this.#list(inode);
    for (let at = offset; at < end && extents.length < MAX_EXTENTS; ) {
      const index = Math.floor(at / blockBytes);
      if (index >= list.count) {
        extents.push(await this.#fragmentExtent(inode, at, end));
        return;
      }
      for (const [position, block] of (await list.from(index)).entries()) {
        if (at >= end || extents.length >= MAX_EXTENTS) break;
        const start = (index + position) * blockBytes;
        const whole = Math.min(blockBytes, Number(inode.size) - start);
        const until = Math.min(end, start + whole);
        append(extents, this.#blockExtent(inode, block, start, whole, at, until));
        at = until;
      }
    }
  }

  /** The part from `at` to `until` of the block that begins at `start` and holds `whole` bytes of the file. */
  #blockExtent(inode: Inode, block: StoredBlock, start: number, whole: number, at: number, until: number): FileExtent {
    if (block.length === 0) return { kind: "hole", offset: at, length: until - at };
    const { position } = block;
    this.#assertStored(inode, position, block.length);
    if (!block.isCompressed) {
      if (block.length !== whole) throw corrupt(describe(inode), position, `a block of ${block.length} bytes, expected ${whole}`);
      return { kind: "data", offset: at, length: until - at, source: this.#source, sourceOffset: position + at - start };
    }
    const read = async (): Promise<Uint8Array> => {
      const bytes = await this.#decode(position, block.length, whole);
      if (bytes.length !== whole) throw corrupt(describe(inode), position, `a block of ${bytes.length} bytes, expected ${whole}`);
      return bytes.subarray(at - start, until - start);
    };
    return { kind: "decoded", offset: at, length: until - at, read };
  }

  /**
   * The end of a file, which shares a block with others. Source: fs/squashfs/fragment.c.
   *
   *   Offset | Size | Meaning
   *   0      | 8    | where the fragment lies
   *   8      | 4    | its size; bit 24: stored as it is
   */
  async #fragmentExtent(inode: Inode, at: number, end: number): Promise<FileExtent> {
    const { blockBytes } = this.#superblock;
    if (this.#fragments === undefined) throw corrupt(describe(inode), undefined, `fragment ${inode.fragment}, there are none`);
    const entry = await this.#fragments.entry(inode.fragment);
    const position = Number(entry.getBigUint64(0, true));
    const size = entry.getUint32(8, true);
    const length = size & (STORED_FLAG - 1);
    if (size >= 2 * STORED_FLAG || length === 0 || length > blockBytes) throw corrupt(`squashfs fragment ${inode.fragment}`, position, `stored size 0x${size.toString(16)}, at most ${blockBytes} are expected`);
    this.#assertStored(inode, position, length);
    const fileStart = Math.floor(Number(inode.size) / blockBytes) * blockBytes;
    const from = inode.offset + at - fileStart;
    const to = inode.offset + end - fileStart;
    const assertHolds = (bytes: number): void => {
      if (to > bytes) throw corrupt(describe(inode), position, `bytes ${from} to ${to} of a fragment of ${bytes}`);
    };
    if ((size & STORED_FLAG) !== 0) {
      assertHolds(length);
      return { kind: "data", offset: at, length: end - at, source: this.#source, sourceOffset: position + from };
    }
    assertHolds(blockBytes);
    const read = async (): Promise<Uint8Array> => {
      const bytes = await this.#decode(position, length, blockBytes);
      assertHolds(bytes.length);
      return bytes.subarray(from, to);
    };
    return { kind: "decoded", offset: at, length: end - at, read };
  }

  #assertStored(inode: Inode, position: number, length: number): void {
    const { bytesUsed } = this.#superblock;
    if (position + length > bytesUsed) throw corrupt(describe(inode), undefined, `a block at bytes ${position} to ${position + length}, ${bytesUsed} are used`);
  }

  async #decode(position: number, length: number, maxBytes: number): Promise<Uint8Array> {
    const known = this.#decoded.get(position);
    // A damaged fragment is not taken apart again for each of its files.
    if (known instanceof DiskError) throw known;
    if (known !== undefined && known.length <= maxBytes) return known;
    const stored = await this.#source.read(position, length);
    try {
      const bytes = decompress(this.#superblock.compression, stored, maxBytes);
      this.#decoded.set(position, bytes);
      return bytes;
    } catch (error) {
      const damage = toDiskError(error);
      this.#decoded.set(position, damage);
      throw damage;
    }
  }

  #list(inode: Inode): BlockList {
    let list = this.#lists.get(inode);
    if (list === undefined) {
      list = new BlockList(this.#metadata, this.#superblock.directoryTable, this.#superblock.blockBytes, inode);
      this.#lists.set(inode, list);
    }
    return list;
  }
}

function append(extents: FileExtent[], next: FileExtent): void {
  const last = extents.at(-1);
  if (last?.kind === "hole" && next.kind === "hole") extents[extents.length - 1] = { ...last, length: last.length + next.length };
  else if (last?.kind === "data" && next.kind === "data" && last.sourceOffset + last.length === next.sourceOffset) {
    extents[extents.length - 1] = { ...last, length: last.length + next.length };
  } else extents.push(next);
}

function describe(inode: Inode): string {
  return `squashfs inode ${inode.number}`;
}
