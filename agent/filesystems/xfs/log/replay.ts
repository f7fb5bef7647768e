// Replays the transactions of a log, in memory: first a pass that counts cancelled buffers, then one that changes
// blocks and inodes.
// Source: the rules of Linux fs/xfs/xfs_log_recover.c (xlog_recover_reorder_trans, xlog_do_log_recovery) and
// xfs_buf_item_recover.c (which buffers are older on the disk).
import { corrupt, unsupported } from "../../../blocks/disk-error.ts";
import { findInodeOffset } from "../addresses.ts";
import { computeChecksum, hasBytes } from "../block-header.ts";
import { crcOffset, sizeOffset } from "../inode.ts";
import type { PendingChanges } from "../pending-changes.ts";
import type { Superblock } from "../superblock.ts";
import { findBlockLayout } from "./block-kind.ts";
import { parseBufferItem, type BufferItem } from "./buffer-item.ts";
import { Cancellations } from "./cancellations.ts";
import type { LogExtent } from "./extent.ts";
import { makeFreeInodes, parseInodeCreateItem } from "./inode-create-item.ts";
import { parseInodeItem, replayInode } from "./inode-item.ts";
import type { ExchangeSide } from "./exchange.ts";
import { Intents } from "./intents.ts";
import { readRecords } from "./records.ts";
import type { ReplayDisk } from "./replay-disk.ts";
import type { LogRing } from "./ring.ts";
import { TransactionAssembler, type LogItem, type Transaction } from "./transactions.ts";

const types = {
  inode: 0x123b, buffer: 0x123c, inodeCreate: 0x123f,
  mapIntent: 0x1244, mapDone: 0x1245, attributeIntent: 0x1246, attributeDone: 0x1247, exchangeIntent: 0x1248, exchangeDone: 0x1249,
} as const;

/**
 * Freed extents, unlinked lists, quotas, reverse mappings, reference counts, and the same of the realtime device:
 * nothing of them is to be seen.
 */
const unseenTypes = new Set([
  0x1236, 0x1237, 0x1238, 0x123d, 0x123e, 0x1240, 0x1241, 0x1242, 0x1243, 0x124a, 0x124b, 0x124c, 0x124d, 0x124e, 0x124f,
]);

/** Enough of a block to tell what it is and how old. */
const blockHeadBytes = 256;
const unsetLsn = 0xffffffffffffffffn;

/** Changes `disk` as Linux would the volume, and notes in `changes` what it would finish afterwards. */
export async function replayLog(ring: LogRing, extent: LogExtent, disk: ReplayDisk, changes: PendingChanges): Promise<void> {
  const cancellations = new Cancellations();
  for await (const transaction of readTransactions(ring, extent)) {
    for (const item of transaction.items) {
      if (item.type !== types.buffer) continue;
      const buffer = parseBufferItem(item);
      if (buffer.isCancel) cancellations.add(buffer.offsetBytes, buffer.lengthBytes);
    }
  }
  const replay = new Replay(ring.superblock, disk, cancellations);
  for await (const transaction of readTransactions(ring, extent)) await replay.transaction(transaction);
  await replay.finish(changes);
}

async function* readTransactions(ring: LogRing, { head, tail }: LogExtent): AsyncGenerator<Transaction> {
  const assembler = new TransactionAssembler(ring);
  for await (const record of readRecords(ring, head, tail)) {
    if ("error" in record) throw record.error;
    if (!record.hasChecksum && ring.superblock.version === 5) {
      throw corrupt(`XFS log record ${record.block}`, ring.offsetBytes, "it has no checksum");
    }
    yield* assembler.add(record);
  }
}

class Replay {
  readonly #superblock: Superblock;
  readonly #disk: ReplayDisk;
  readonly #cancellations: Cancellations;
  readonly #intents = new Intents();
  /** Buffers changed under the current sequence number: stamped with it only once the next begins, as it is part of the rule. */
  readonly #unstamped = new Map<number, BufferItem>();
  #lsn = 0n;

  constructor(superblock: Superblock, disk: ReplayDisk, cancellations: Cancellations) {
    this.#superblock = superblock;
    this.#disk = disk;
    this.#cancellations = cancellations;
  }

  async transaction({ lsn, items }: Transaction): Promise<void> {
    if (lsn !== this.#lsn) {
      await this.#stamp();
      this.#lsn = lsn;
    }
    // Blocks first, as inodes may lie in them; cancellations last.
    const cancelled: BufferItem[] = [];
    const others: LogItem[] = [];
    for (const item of items) {
      if (item.type === types.buffer) {
        const buffer = parseBufferItem(item);
        if (buffer.isCancel) cancelled.push(buffer);
        else await this.#buffer(buffer);
      } else if (item.type === types.inodeCreate) await this.#inodeCreate(item);
      else others.push(item);
    }
    for (const item of others) await this.#other(item);
    for (const { offsetBytes, lengthBytes } of cancelled) this.#cancellations.remove(offsetBytes, lengthBytes);
  }

  async finish(changes: PendingChanges): Promise<void> {
    await this.#stamp();
    this.#intents.collect(this.#superblock, changes);
    for (const { first, second } of changes.exchanges) {
      await this.#setSize(first);
      await this.#setSize(second);
    }
  }

  /** The size that a file has once its blocks are exchanged. */
  async #setSize({ inode, size }: ExchangeSide): Promise<void> {
    const offsetBytes = findInodeOffset(this.#superblock, inode);
    if (size === undefined || offsetBytes === undefined) return;
    const bytes = Buffer.from(await this.#disk.read(offsetBytes, this.#superblock.inodeSizeBytes));
    bytes.writeBigUInt64BE(size, sizeOffset);
    bytes.writeUInt32LE(computeChecksum(bytes, crcOffset), crcOffset);
    await this.#disk.write(offsetBytes, bytes);
  }

  async #buffer(item: BufferItem): Promise<void> {
    const { offsetBytes, lengthBytes } = item;
    if (this.#cancellations.has(offsetBytes, lengthBytes) || item.isInodeBuffer || item.isQuota || lengthBytes === 0) return;
    if (this.#superblock.version === 5) {
      const diskLsn = this.#findLsn(await this.#disk.read(offsetBytes, Math.min(lengthBytes, blockHeadBytes)));
      if (diskLsn !== undefined && diskLsn >= this.#lsn) return;
    }
    for (const { at, bytes } of item.parts) await this.#disk.write(offsetBytes + at, bytes);
    if (this.#superblock.version === 5) this.#unstamped.set(offsetBytes, item);
  }

  /** Undefined where the block has none, or is not of this filesystem: then it is replayed. */
  #findLsn(head: Buffer): bigint | undefined {
    const layout = findBlockLayout(head);
    if (layout?.lsn === undefined || !hasBytes(head, layout.uuid, this.#superblock.metaUuid)) return undefined;
    const lsn = head.readBigUInt64BE(layout.lsn);
    return lsn === 0n || lsn === unsetLsn ? undefined : lsn;
  }

  async #stamp(): Promise<void> {
    for (const { offsetBytes, lengthBytes } of this.#unstamped.values()) {
      const block = await this.#disk.read(offsetBytes, lengthBytes);
      const layout = findBlockLayout(block);
      if (layout === undefined) continue;
      if (layout.lsn !== undefined) block.writeBigUInt64BE(this.#lsn, layout.lsn);
      block.writeUInt32LE(computeChecksum(block, layout.crc), layout.crc);
      await this.#disk.write(offsetBytes, block.subarray(0, Math.min(lengthBytes, blockHeadBytes)));
    }
    this.#unstamped.clear();
  }

  async #inodeCreate(logged: LogItem): Promise<void> {
    const superblock = this.#superblock;
    const item = parseInodeCreateItem(superblock, logged);
    for (let block = 0; block < item.blocks; block++) {
      if (this.#cancellations.hasAt(item.offsetBytes + block * superblock.blockSizeBytes)) return;
    }
    await this.#disk.write(item.offsetBytes, makeFreeInodes(superblock, item));
  }

  async #other(item: LogItem): Promise<void> {
    switch (item.type) {
      case types.inode: return this.#inode(item);
      case types.mapIntent: return this.#intents.announce("map", item);
      case types.mapDone: return this.#intents.done("map", item);
      case types.attributeIntent: return this.#intents.announce("attribute", item);
      case types.attributeDone: return this.#intents.done("attribute", item);
      case types.exchangeIntent: return this.#intents.announce("exchange", item);
      case types.exchangeDone: return this.#intents.done("exchange", item);
      default: if (!unseenTypes.has(item.type)) throw unsupported(`XFS log item 0x${item.type.toString(16)}`);
    }
  }

  async #inode(logged: LogItem): Promise<void> {
    const item = parseInodeItem(logged);
    if (this.#cancellations.has(item.bufferOffsetBytes, item.bufferLengthBytes)) return;
    const target = await this.#disk.read(item.offsetBytes, this.#superblock.inodeSizeBytes);
    if (replayInode(this.#superblock, item, target, this.#lsn)) await this.#disk.write(item.offsetBytes, target);
  }
}
