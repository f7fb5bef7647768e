// Block group descriptors: where each group's inode table lies.
// Source: Linux Documentation/filesystems/ext4/group_descr.rst and blockgroup.rst (meta_bg).
//
// Offset | Size | Field                    | Meaning
// 0x08   | 4    | bg_inode_table_lo        | first block of the inode table
// 0x0c   | 2    | bg_free_blocks_count_lo  | free clusters
// 0x12   | 2    | bg_flags                 | 1: inode table unused, 2: block bitmap not written yet
// 0x1e   | 2    | bg_checksum              | crc16 (gdt_csum), or the low half of crc32c (metadata_csum)
// 0x28   | 4    | bg_inode_table_hi        | in descriptors of 64 bytes and more
// 0x2c   | 2    | bg_free_blocks_count_hi  | likewise
import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { crc32cUpdate, crc32cUpdateUint32 } from "../../blocks/crc32c.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { asBuffer } from "../byte-string.ts";
import { crc16Update } from "./crc16.ts";
import { NodeCache } from "../node-cache.ts";
import type { Superblock } from "./superblock.ts";

export interface GroupDescriptor {
  readonly inodeTableBlock: number;
  readonly freeClusters: number;
  /** Mounted read-only, Linux uses a descriptor whose checksum is wrong as long as it points inside; so does this reader. */
  readonly checksumMatches: boolean;
}

/** Parses one descriptor; `bytes` are its s_desc_size bytes. */
export function parseGroupDescriptor(bytes: Uint8Array, superblock: Superblock, group: number): GroupDescriptor {
  const data = asBuffer(bytes);
  const wide = data.length >= 64;
  return {
    inodeTableBlock: data.readUInt32LE(0x8) + (wide ? data.readUInt32LE(0x28) * 2 ** 32 : 0),
    freeClusters: data.readUInt16LE(0xc) + (wide ? data.readUInt16LE(0x2c) * 2 ** 16 : 0),
    checksumMatches: checksum(data, superblock, group) === data.readUInt16LE(0x1e),
  };
}

function checksum(data: Buffer, superblock: Superblock, group: number): number {
  if (superblock.metadataChecksums) {
    let crc = crc32cUpdateUint32(superblock.checksumSeed, group);
    crc = crc32cUpdate(crc, data, 0, 0x1e);
    crc = crc32cUpdate(crc, Uint8Array.of(0, 0));
    return crc32cUpdate(crc, data, 0x20) & 0xffff;
  }
  if (superblock.groupChecksums) {
    let crc = crc16Update(0xffff, superblock.uuidBytes);
    crc = crc16Update(crc, Uint8Array.of(group, group >>> 8, group >>> 16, group >>> 24));
    crc = crc16Update(crc, data, 0, 0x1e);
    return crc16Update(crc, data, 0x20);
  }
  return data.readUInt16LE(0x1e);
}

/** Descriptor blocks kept: enough for eight terabytes, a few megabytes at most. */
const cachedBlocks = 1024;

/** The group descriptor table, read block by block as groups are asked for. */
export class GroupDescriptors {
  readonly #source: BlockSource;
  readonly #superblock: Superblock;
  readonly #descriptorsPerBlock: number;
  readonly #blocks = new NodeCache<readonly GroupDescriptor[]>(cachedBlocks);

  constructor(source: BlockSource, superblock: Superblock) {
    this.#source = source;
    this.#superblock = superblock;
    this.#descriptorsPerBlock = superblock.blockSizeBytes / superblock.descriptorSizeBytes;
  }

  get descriptorBlockCount(): number {
    return Math.ceil(this.#superblock.groupCount / this.#descriptorsPerBlock);
  }

  /** The descriptor of a group below groupCount; "corrupt" when its inode table leaves the filesystem. */
  get(group: number): MaybePromise<GroupDescriptor> {
    const block = Math.floor(group / this.#descriptorsPerBlock);
    return chain(this.block(block), (descriptors) => {
      const descriptor = descriptors[group - block * this.#descriptorsPerBlock]!;
      const { firstDataBlock, blockCount, inodesPerGroup, inodeSizeBytes, blockSizeBytes } = this.#superblock;
      const tableBlocks = Math.ceil((inodesPerGroup * inodeSizeBytes) / blockSizeBytes);
      if (descriptor.inodeTableBlock < firstDataBlock || descriptor.inodeTableBlock + tableBlocks > blockCount) {
        throw corrupt(
          `ext4 group descriptor ${group}`,
          this.#blockNumber(block) * blockSizeBytes,
          `inode table of ${tableBlocks} blocks at block ${descriptor.inodeTableBlock}, but the filesystem has ${blockCount}` +
            (descriptor.checksumMatches ? "" : "; its checksum is wrong"),
        );
      }
      return descriptor;
    });
  }

  /** All descriptors of one descriptor block. */
  block(block: number): MaybePromise<readonly GroupDescriptor[]> {
    const known = this.#blocks.get(block);
    if (known !== undefined) return known;
    const { blockSizeBytes, descriptorSizeBytes, groupCount } = this.#superblock;
    const first = block * this.#descriptorsPerBlock;
    const count = Math.min(this.#descriptorsPerBlock, groupCount - first);
    const bytes = this.#source.read(this.#blockNumber(block) * blockSizeBytes, count * descriptorSizeBytes);
    return chain(bytes, (table) => {
      const descriptors: GroupDescriptor[] = [];
      for (let i = 0; i < count; i++) {
        const raw = table.subarray(i * descriptorSizeBytes, (i + 1) * descriptorSizeBytes);
        descriptors.push(parseGroupDescriptor(raw, this.#superblock, first + i));
      }
      this.#blocks.set(block, descriptors);
      return descriptors;
    });
  }

  /** Where a descriptor block lies: after the superblock, or with meta_bg in the first group it describes. */
  #blockNumber(block: number): number {
    const { firstDataBlock, firstMetaGroup, blocksPerGroup, blockCount, blockSizeBytes } = this.#superblock;
    // With blocks larger than 1 KiB the superblock shares block 0 with the boot sector.
    const superblockBlock = blockSizeBytes === 1024 ? 1 : 0;
    let number = superblockBlock + 1 + block;
    if (block >= firstMetaGroup) {
      const group = block * this.#descriptorsPerBlock;
      number = firstDataBlock + group * blocksPerGroup + (this.#hasSuperblock(group) ? 1 : 0);
      if (block === 0 && blockSizeBytes === 1024 && firstDataBlock === 0) number++;
    }
    if (number >= blockCount) {
      throw corrupt("ext4 group descriptors", number * blockSizeBytes, `block ${number}, but the filesystem has ${blockCount}`);
    }
    return number;
  }

  #hasSuperblock(group: number): boolean {
    if (group === 0) return true;
    const { features, backupGroups } = this.#superblock;
    if (backupGroups !== undefined) return backupGroups.includes(group);
    if ((features.roCompat & 1) === 0) return true;
    return group === 1 || isPowerOf(3, group) || isPowerOf(5, group) || isPowerOf(7, group);
  }
}

function isPowerOf(base: number, value: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}
