import { corrupt } from "../../blocks/disk-error.ts";
import { NO_FRAGMENT, type Inode } from "./inode.ts";
import type { Metadata } from "./metadata.ts";

/** One block of a file as it is stored. */
export interface StoredBlock {
  /** In bytes of the volume. */
  readonly position: number;
  /** 0: a block of zeros, not stored. */
  readonly length: number;
  readonly isCompressed: boolean;
}

const SIZE_BYTES = 4;
/** Bit 24 of a size. */
export const STORED_FLAG = 0x0100_0000;
/** Sizes read at a time, and between two checkpoints. */
const CHUNK_BLOCKS = 1024;

interface Checkpoint {
  /** Where its sizes lie. */
  readonly metadataPosition: number;
  readonly metadataOffset: number;
  /** Where the first of its blocks lies. */
  readonly dataPosition: number;
}

/**
 * The blocks of one file. Their sizes lie in a row behind its inode, and a block lies where the ones before it end:
 * the list is followed from the start, as far as it is asked for, and where it came by is remembered.
 */
export class BlockList {
  /** Full blocks, and the last one unless it lies in a fragment. */
  readonly count: number;
  readonly #metadata: Metadata;
  readonly #tableEnd: number;
  readonly #blockBytes: number;
  readonly #inode: Inode;
  readonly #checkpoints: Checkpoint[];
  #chunk: { readonly index: number; readonly blocks: readonly StoredBlock[] } | undefined;

  /** @param tableEnd where the inode table ends */
  constructor(metadata: Metadata, tableEnd: number, blockBytes: number, inode: Inode) {
    const { size, fragment, blockList, startBlock } = inode;
    const full = size / BigInt(blockBytes);
    this.count = Number(fragment === NO_FRAGMENT && size % BigInt(blockBytes) !== 0n ? full + 1n : full);
    this.#metadata = metadata;
    this.#tableEnd = tableEnd;
    this.#blockBytes = blockBytes;
    this.#inode = inode;
    this.#checkpoints = [{ metadataPosition: blockList!.position, metadataOffset: blockList!.offset, dataPosition: startBlock }];
  }

  /** The blocks from `index` on: at least one, up to the end of a chunk. @param index in [0, count) */
  async from(index: number): Promise<readonly StoredBlock[]> {
    const chunkIndex = Math.floor(index / CHUNK_BLOCKS);
    let chunk = this.#chunk;
    // The inode table's end bounds the way to a far block.
    for (let next = Math.min(chunkIndex, this.#checkpoints.length - 1); next <= chunkIndex; next += 1) {
      if (chunk?.index !== next) chunk = { index: next, blocks: await this.#readChunk(next) };
    }
    this.#chunk = chunk;
    return chunk!.blocks.slice(index % CHUNK_BLOCKS);
  }

  async #readChunk(index: number): Promise<StoredBlock[]> {
    const { metadataPosition, metadataOffset, dataPosition } = this.#checkpoints[index]!;
    const cursor = this.#metadata.cursor(metadataPosition, metadataOffset, this.#tableEnd);
    const count = Math.min(CHUNK_BLOCKS, this.count - index * CHUNK_BLOCKS);
    const bytes = await cursor.read(count * SIZE_BYTES);
    const sizes = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const blocks: StoredBlock[] = [];
    let position = dataPosition;
    for (let at = 0; at < count; at += 1) {
      const size = sizes.getUint32(at * SIZE_BYTES, true);
      const length = size & (STORED_FLAG - 1);
      if (size >= 2 * STORED_FLAG || length > this.#blockBytes) {
        throw corrupt(`squashfs inode ${this.#inode.number}`, undefined, `block ${index * CHUNK_BLOCKS + at} of stored size 0x${size.toString(16)}, at most ${this.#blockBytes} are expected`);
      }
      blocks.push({ position, length, isCompressed: (size & STORED_FLAG) === 0 });
      position += length;
    }
    this.#checkpoints[index + 1] ??= { metadataPosition: cursor.place.position, metadataOffset: cursor.place.offset, dataPosition: position };
    return blocks;
  }
}
