import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { crc32c } from "../../agent/blocks/crc32c.ts";

const blockBytes = 512;
const magic = 0xfeedbabe;
const transactionFlags = { start: 0x1, commit: 0x2 } as const;

/** A log to which a transaction is added, as another machine's kernel might have written it. */
export interface LogPlace {
  readonly offsetBytes: number;
  readonly blockCount: number;
  /** Block after the newest record. */
  readonly head: number;
}

/**
 * Appends a committed transaction to a log that was left dirty: one record, made after the last one there.
 * @param items each the regions of one log item
 */
export function appendTransaction(imagePath: string, log: LogPlace, items: readonly (readonly Buffer[])[]): void {
  const descriptor = openSync(imagePath, "r+");
  try {
    const at = (block: number) => log.offsetBytes + block * blockBytes;
    const previous = findLastHeader(descriptor, log, at);
    const cycle = previous.readUInt32BE(4);
    const data = makeData(items);
    const dataBlocks = data.length / blockBytes;
    // Where the log comes around, the next cycle would begin: the caller makes logs that don't.
    if (log.head + 1 + dataBlocks >= log.blockCount) throw new Error("no room before the end of the log");
    const header = Buffer.alloc(blockBytes);
    previous.copy(header, 300, 300, 324);
    header.writeUInt32BE(magic, 0);
    header.writeUInt32BE(cycle, 4);
    header.writeUInt32BE(2, 8);
    header.writeUInt32BE(data.length, 12);
    header.writeUInt32BE(cycle, 16);
    header.writeUInt32BE(log.head, 20);
    previous.copy(header, 24, 24, 32);
    header.writeUInt32BE(items.flat().length + 3, 40);
    for (let block = 0; block < dataBlocks; block++) {
      data.copy(header, 44 + block * 4, block * blockBytes, block * blockBytes + 4);
      data.writeUInt32BE(cycle, block * blockBytes);
    }
    header.writeUInt32LE(crc32c(Buffer.concat([header.subarray(0, 328), data])), 32);
    writeSync(descriptor, Buffer.concat([header, data]), 0, blockBytes + data.length, at(log.head));
  } finally {
    closeSync(descriptor);
  }
}

function findLastHeader(descriptor: number, log: LogPlace, at: (block: number) => number): Buffer {
  for (let block = log.head - 1; block >= 0; block--) {
    const bytes = Buffer.alloc(blockBytes);
    readSync(descriptor, bytes, 0, blockBytes, at(block));
    if (bytes.readUInt32BE(0) === magic) return bytes;
  }
  throw new Error("no record before the head");
}

function makeData(items: readonly (readonly Buffer[])[]): Buffer {
  const id = 0x1234_5678;
  const operation = (flags: number, bytes: Buffer): Buffer => {
    const head = Buffer.alloc(12);
    head.writeUInt32BE(id, 0);
    head.writeUInt32BE(bytes.length, 4);
    head[8] = 0x69;
    head[9] = flags;
    return Buffer.concat([head, bytes]);
  };
  const transaction = Buffer.alloc(16);
  transaction.writeUInt32LE(0x5452414e, 0);
  transaction.writeUInt32LE(items.length, 12);
  const parts = [
    operation(transactionFlags.start, Buffer.alloc(0)),
    operation(0, transaction),
    ...items.flat().map((region) => operation(0, region)),
    operation(transactionFlags.commit, Buffer.alloc(0)),
  ];
  const data = Buffer.concat(parts);
  return Buffer.concat([data, Buffer.alloc((blockBytes - (data.length % blockBytes)) % blockBytes)]);
}

/** A mapping that was announced and not done. */
export function makeMapIntent(id: number, inode: number, operation: "map" | "unmap", logical: number, block: number, count: number): Buffer[] {
  const format = Buffer.alloc(48);
  format.writeUInt16LE(0x1244, 0);
  format.writeUInt16LE(1, 2);
  format.writeUInt32LE(1, 4);
  format.writeBigUInt64LE(BigInt(id), 8);
  format.writeBigUInt64LE(BigInt(inode), 16);
  format.writeBigUInt64LE(BigInt(block), 24);
  format.writeBigUInt64LE(BigInt(logical), 32);
  format.writeUInt32LE(count, 40);
  format.writeUInt32LE(operation === "map" ? 1 : 2, 44);
  return [format];
}

/** What takes such an announcement back. */
export function makeMapDone(id: number): Buffer[] {
  const format = Buffer.alloc(16);
  format.writeUInt16LE(0x1245, 0);
  format.writeUInt16LE(1, 2);
  format.writeBigUInt64LE(BigInt(id), 8);
  return [format];
}

/** A user attribute that was to be set, or removed where there is no value. */
export function makeAttributeIntent(id: number, inode: number, name: string, value: string | undefined): Buffer[] {
  const pad = (text: string) => Buffer.concat([Buffer.from(text), Buffer.alloc((4 - (text.length % 4)) % 4)]);
  const format = Buffer.alloc(40);
  format.writeUInt16LE(0x1246, 0);
  format.writeUInt16LE(value === undefined ? 2 : 3, 2);
  format.writeBigUInt64LE(BigInt(id), 8);
  format.writeBigUInt64LE(BigInt(inode), 16);
  format.writeUInt32LE(value === undefined ? 2 : 1, 24);
  format.writeUInt32LE(name.length, 28);
  format.writeUInt32LE(value?.length ?? 0, 32);
  return value === undefined ? [format, pad(name)] : [format, pad(name), pad(value)];
}

/** @param chunk bytes 128 to 255 of the superblock: its counters and features */
export function makeSuperblockItem(chunk: Buffer): Buffer[] {
  const superblockType = 18;
  const format = Buffer.alloc(24);
  format.writeUInt16LE(0x123c, 0);
  format.writeUInt16LE(2, 2);
  format.writeUInt16LE(superblockType << 11, 4);
  format.writeUInt16LE(1, 6);
  format.writeUInt32LE(1, 16);
  format.writeUInt32LE(1 << 1, 20);
  return [format, chunk];
}

export interface ExchangeIntent {
  readonly inodes: readonly [number, number];
  readonly generations: readonly [number, number];
  readonly starts: readonly [number, number];
  readonly blockCount: number;
  /** XFS_EXCHMAPS_*: 1 attributes, 2 set sizes, 4 only what the first has written. */
  readonly flags: number;
  readonly sizes?: readonly [number, number];
}

/** An exchange of blocks that was announced, or written anew after a step, and not done. */
export function makeExchangeIntent(id: number, { inodes, generations, starts, blockCount, flags, sizes }: ExchangeIntent): Buffer[] {
  const format = Buffer.alloc(88);
  format.writeUInt16LE(0x1248, 0);
  format.writeUInt16LE(1, 2);
  format.writeBigUInt64LE(BigInt(id), 8);
  for (const side of [0, 1] as const) {
    format.writeBigUInt64LE(BigInt(inodes[side]), 16 + side * 8);
    format.writeUInt32LE(generations[side], 32 + side * 4);
    format.writeBigUInt64LE(BigInt(starts[side]), 40 + side * 8);
    format.writeBigInt64LE(BigInt(sizes?.[side] ?? -1), 72 + side * 8);
  }
  format.writeBigUInt64LE(BigInt(blockCount), 56);
  format.writeBigUInt64LE(BigInt(flags), 64);
  return [format];
}

export function makeExchangeDone(id: number): Buffer[] {
  const format = Buffer.alloc(16);
  format.writeUInt16LE(0x1249, 0);
  format.writeUInt16LE(1, 2);
  format.writeBigUInt64LE(BigInt(id), 8);
  return [format];
}
