// B+trees of device-mapper's persistent data. Source: the Linux kernel's drivers/md/persistent-data/dm-btree-internal.h
// and dm-block-manager.c; all numbers little-endian.
//
// A node, one block of 4096 bytes:
//   Offset | Size | Field       | Meaning
//   0      | 4    | checksum    | of what follows: crc32c without the final inversion, xor 121107
//   4      | 4    | flags       | 1 internal, 2 leaf
//   8      | 8    | block       | its own number
//   16     | 4    | entries     | how many there are
//   20     | 4    | max entries | how many there is room for
//   24     | 4    | value size  | in bytes; 8 in internal nodes: the blocks of the children
//   32     | 8 n  | keys        | rising; room for max entries
//          |      | values      | behind all keys
import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";

export const METADATA_BLOCK_BYTES = 4096;
const HEADER_BYTES = 32;
const CHECKSUM_XOR = 121107;
const FLAG_INTERNAL = 1;
const FLAG_LEAF = 2;
/** A node has at least 42 children: eight levels hold more than 2^40 entries. */
const MAX_LEVELS = 12;

interface Node {
  readonly block: number;
  readonly isLeaf: boolean;
  readonly count: number;
  /** Rising keys; beyond 2^53 they are no block of any device, and compare as well. */
  readonly keys: Float64Array;
  readonly values: DataView;
  readonly valueBytes: number;
}

/** What a key leads to. */
export interface BtreeHit {
  /** The largest key that is not above the one asked for; undefined when there is none. */
  readonly key: number | undefined;
  readonly value: DataView | undefined;
  /** The next key above the one asked for, as far as the same leaf tells; Infinity when it holds none. */
  readonly nextKey: number;
  /** Keys of this leaf and their values, from `key` on. */
  readonly index: number;
  readonly leaf: Leaf;
}

export interface Leaf {
  readonly count: number;
  key(index: number): number;
  value(index: number): DataView;
  /** Keys from here on are in another leaf; Infinity in the last one. */
  readonly endKey: number;
}

const empty: Leaf = { count: 0, key: () => Infinity, value: () => new DataView(new ArrayBuffer(0)), endKey: Infinity };

/** Reads nodes of trees in one metadata device, keeping those that were read last. */
export class BtreeReader {
  readonly #source: BlockSource;
  readonly #what: string;
  readonly #nodes = new Map<number, Node>();

  constructor(source: BlockSource, what: string) {
    this.#source = source;
    this.#what = what;
  }

  /** The leaf where `key` would stand, and where in it. @param valueBytes of the tree's values */
  find(root: number, key: number, valueBytes: number): MaybePromise<BtreeHit> {
    return this.#descend(root, key, valueBytes, Infinity, 0);
  }

  #descend(block: number, key: number, valueBytes: number, endKey: number, level: number): MaybePromise<BtreeHit> {
    if (level > MAX_LEVELS) throw this.#wrong(block, `it lies more than ${MAX_LEVELS} levels deep`);
    return chain(this.#node(block), (node): MaybePromise<BtreeHit> => {
      const index = lowerBound(node, key);
      if (!node.isLeaf) {
        if (node.count === 0) throw this.#wrong(block, "an internal node without children");
        // A key below the first one is in no child: the first child's leaf tells what comes next.
        const child = Math.max(index, 0);
        const end = child + 1 < node.count ? node.keys[child + 1]! : endKey;
        const next = Number(node.values.getBigUint64(child * 8, true));
        return this.#descend(next, key, valueBytes, end, level + 1);
      }
      if (node.count === 0) return { key: undefined, value: undefined, nextKey: endKey, index: 0, leaf: empty };
      if (node.valueBytes !== valueBytes) throw this.#wrong(block, `values of ${node.valueBytes} bytes, expected ${valueBytes}`);
      const leaf: Leaf = {
        count: node.count,
        key: (at) => node.keys[at]!,
        value: (at) => new DataView(node.values.buffer, node.values.byteOffset + at * valueBytes, valueBytes),
        endKey,
      };
      const nextKey = index + 1 < node.count ? node.keys[index + 1]! : endKey;
      if (index < 0) return { key: undefined, value: undefined, nextKey, index: 0, leaf };
      return { key: node.keys[index], value: leaf.value(index), nextKey, index, leaf };
    });
  }

  #node(block: number): MaybePromise<Node> {
    const known = this.#nodes.get(block);
    if (known !== undefined) return known;
    if (!Number.isSafeInteger(block) || (block + 1) * METADATA_BLOCK_BYTES > this.#source.sizeBytes) throw this.#wrong(block, "it lies outside the metadata device");
    return chain(this.#source.read(block * METADATA_BLOCK_BYTES, METADATA_BLOCK_BYTES), (bytes) => {
      const node = this.#parse(bytes, block);
      // 4096 nodes of some 126 to 252 entries: up to some 20 MB.
      if (this.#nodes.size >= 4096) this.#nodes.clear();
      this.#nodes.set(block, node);
      return node;
    });
  }

  #parse(shared: Uint8Array, block: number): Node {
    const bytes = Uint8Array.from(shared);
    const view = new DataView(bytes.buffer);
    const stored = view.getUint32(0, true);
    const computed = (crc32cUpdate(0xffffffff, bytes, 4, METADATA_BLOCK_BYTES) ^ CHECKSUM_XOR) >>> 0;
    if (stored !== computed) throw this.#wrong(block, `checksum 0x${stored.toString(16)}, computed 0x${computed.toString(16)}`);
    if (Number(view.getBigUint64(8, true)) !== block) throw this.#wrong(block, `it says that it is block ${view.getBigUint64(8, true)}`);
    const flags = view.getUint32(4, true);
    const count = view.getUint32(16, true);
    const room = view.getUint32(20, true);
    const valueBytes = view.getUint32(24, true);
    const isLeaf = (flags & FLAG_LEAF) !== 0;
    if (isLeaf === ((flags & FLAG_INTERNAL) !== 0)) throw this.#wrong(block, `flags 0x${flags.toString(16)}`);
    if (!isLeaf && valueBytes !== 8) throw this.#wrong(block, `values of ${valueBytes} bytes in an internal node`);
    if (count > room || room > METADATA_BLOCK_BYTES || valueBytes > METADATA_BLOCK_BYTES || HEADER_BYTES + room * (8 + valueBytes) > METADATA_BLOCK_BYTES) {
      throw this.#wrong(block, `${count} of ${room} entries of ${valueBytes} bytes`);
    }
    const keys = new Float64Array(count);
    for (let index = 0; index < count; index += 1) {
      keys[index] = Number(view.getBigUint64(HEADER_BYTES + index * 8, true));
      if (index > 0 && keys[index]! <= keys[index - 1]!) throw this.#wrong(block, `key ${keys[index]} follows ${keys[index - 1]}`);
    }
    return { block, isLeaf, count, keys, valueBytes, values: new DataView(bytes.buffer, HEADER_BYTES + room * 8, count * valueBytes) };
  }

  #wrong(block: number, found: string): Error {
    return corrupt(`${this.#what}: B-tree node ${block}`, block * METADATA_BLOCK_BYTES, found);
  }
}

/** The index of the largest key that is not above `key`; -1 when all are. */
function lowerBound(node: Node, key: number): number {
  let low = -1;
  let high = node.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (node.keys[middle]! <= key) low = middle;
    else high = middle - 1;
  }
  return low;
}
