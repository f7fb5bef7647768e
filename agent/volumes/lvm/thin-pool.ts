// A thin pool of device-mapper: blocks given to volumes as they are written. Source: the Linux kernel's
// drivers/md/dm-thin-metadata.c; all numbers little-endian.
//
// The superblock, block 0 of the metadata device:
//   Offset | Size | Field                | Meaning
//   0      | 4    | checksum             | as in a B-tree node, but xor 160774
//   4      | 4    | flags                | 1: needs a check
//   8      | 8    | block                | 0
//   32     | 8    | magic                | 27022010
//   40     | 4    | version              | 1 or 2
//   48     | 8    | transaction          | counts LVM's changes
//   320    | 8    | mapping root         | tree: device → root of its tree: virtual block → (data block << 24 | time)
//   328    | 8    | details root         | tree: device → mapped blocks, transaction, times
//   336    | 4    | data block size      | in sectors
//   340    | 4    | metadata block size  | in sectors: 8
//   352    | 12   | features             | compatible, compatible read-only, incompatible
import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";
import { BtreeReader, METADATA_BLOCK_BYTES, type BtreeHit } from "./btree.ts";

const MAGIC = 27022010n;
const CHECKSUM_XOR = 160774;
const MAX_VERSION = 2;
/** Thin pools have blocks of 64 KiB to 1 GiB. */
const MIN_BLOCK_SECTORS = 128;
const MAX_BLOCK_SECTORS = 2 * 1024 * 1024;

export interface ThinSuperblock {
  readonly mappingRoot: number;
  readonly blockBytes: number;
}

/** @param bytes block 0 of the metadata device */
export function parseThinSuperblock(bytes: Uint8Array, what: string): ThinSuperblock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, METADATA_BLOCK_BYTES);
  const wrong = (found: string) => corrupt(`${what}: thin pool superblock`, 0, found);
  if (view.getBigUint64(32, true) !== MAGIC) throw wrong(`magic ${view.getBigUint64(32, true)}, expected ${MAGIC}`);
  const stored = view.getUint32(0, true);
  const computed = (crc32cUpdate(0xffffffff, bytes, 4, METADATA_BLOCK_BYTES) ^ CHECKSUM_XOR) >>> 0;
  if (stored !== computed) throw wrong(`checksum 0x${stored.toString(16)}, computed 0x${computed.toString(16)}`);
  const version = view.getUint32(40, true);
  if (version < 1 || version > MAX_VERSION) throw unsupported(`${what}: thin pool metadata version ${version}`);
  const incompatible = view.getUint32(360, true);
  if (incompatible !== 0) throw unsupported(`${what}: thin pool feature incompat 0x${incompatible.toString(16)}`);
  const blockSectors = view.getUint32(336, true);
  if (blockSectors < MIN_BLOCK_SECTORS || blockSectors > MAX_BLOCK_SECTORS) throw wrong(`data blocks of ${blockSectors} sectors`);
  if (view.getUint32(340, true) * 512 !== METADATA_BLOCK_BYTES) throw wrong(`metadata blocks of ${view.getUint32(340, true)} sectors`);
  return { mappingRoot: Number(view.getBigUint64(320, true)), blockBytes: blockSectors * 512 };
}

export interface ThinPool {
  /**
   * A volume of the pool. What it never wrote is zeros, or its origin outside the pool.
   * @param sizeBytes as the group's metadata says; the pool doesn't know it
   */
  open(deviceId: number, sizeBytes: number, origin: BlockSource | undefined): Promise<BlockSource>;
}

export async function openThinPool(metadata: BlockSource, data: BlockSource, what: string): Promise<ThinPool> {
  const { mappingRoot, blockBytes } = parseThinSuperblock(await metadata.read(0, METADATA_BLOCK_BYTES), what);
  const trees = new BtreeReader(metadata, what);
  const dataBlocks = Math.floor(data.sizeBytes / blockBytes);
  return {
    async open(deviceId, sizeBytes, origin) {
      const device = await trees.find(mappingRoot, deviceId, 8);
      if (device.key !== deviceId || device.value === undefined) throw corrupt(`${what}: thin pool`, undefined, `no device ${deviceId}`);
      const root = Number(device.value.getBigUint64(0, true));
      const unmapped = (at: number, length: number): Piece[] => {
        if (origin === undefined || at >= origin.sizeBytes) return [{ from: "zeros", offset: 0, length }];
        const there = Math.min(length, origin.sizeBytes - at);
        const pieces: Piece[] = [{ from: origin, offset: at, length: there }];
        if (there < length) pieces.push({ from: "zeros", offset: 0, length: length - there });
        return pieces;
      };
      const dataBlock = (value: DataView): number => {
        const block = Number(value.getBigUint64(0, true) >> 24n);
        if (block >= dataBlocks) throw corrupt(`${what}: thin device ${deviceId}`, undefined, `mapped to data block ${block} of ${dataBlocks}`);
        return block;
      };
      return pieced(sizeBytes, (offset, length) => {
        const pieces: Piece[] = [];
        const end = offset + length;
        /** Goes on leaf by leaf; returns at once as long as nodes are at hand. */
        const from = (at: number): MaybePromise<Piece[]> => {
          if (at >= end) return pieces;
          return chain(trees.find(root, Math.floor(at / blockBytes), 8), (hit) => from(addLeaf(hit, at)));
        };
        const addLeaf = (hit: BtreeHit, start: number): number => {
          let at = start;
          const { leaf } = hit;
          let index = hit.index;
          const leafEnd = Math.min(end, leaf.endKey * blockBytes);
          while (at < leafEnd) {
            const block = Math.floor(at / blockBytes);
            while (index < leaf.count && leaf.key(index) < block) index += 1;
            const key = index < leaf.count ? leaf.key(index) : Infinity;
            const until = Math.min(leafEnd, key === block ? (block + 1) * blockBytes : key * blockBytes);
            if (key === block) pieces.push({ from: data, offset: dataBlock(leaf.value(index)) * blockBytes + (at - block * blockBytes), length: until - at });
            else pieces.push(...unmapped(at, until - at));
            at = until;
          }
          if (at === start) throw corrupt(`${what}: thin device ${deviceId}`, undefined, `its tree of mappings is out of order near block ${Math.floor(at / blockBytes)}`);
          return at;
        };
        return from(offset);
      });
    },
  };
}
