// The operations in the data of log records, put together to transactions. A transaction's parts may lie in many
// records, between those of others; it counts once its commit is there.
// Source: "XFS Algorithms & Data Structures" (log operations, transaction headers), Linux
// fs/xfs/libxfs/xfs_log_format.h (xlog_op_header, xfs_trans_header), fs/xfs/xfs_log_recover.c (how they are joined).
//
// Offset | Size | Field       | Meaning
// 0      | 4    | oh_tid      | transaction
// 4      | 4    | oh_len      | bytes that follow
// 8      | 1    | oh_clientid | 0x69 a transaction, 0xaa the log itself
// 9      | 1    | oh_flags    | 0x1 start, 0x2 commit, 0x4 cut off here, 0x8 goes on from before, 0x10 ends, 0x20 unmount
// The first region of a transaction is its header (16 bytes, magic "TRAN"). Then come the items, each of several
// regions; the first begins with u16 type and u16 count of regions, little-endian as all that follows.
import { corrupt, type DiskError } from "../../../blocks/disk-error.ts";
import { unpackData } from "./record.ts";
import type { LogRecord } from "./records.ts";
import type { LogRing } from "./ring.ts";

const operationHeaderBytes = 12;
const clients = new Set([0x69, 0xaa]);
const flags = { start: 0x1, commit: 0x2, continues: 0x4, wasContinued: 0x8, ends: 0x10, unmount: 0x20 } as const;
const transactionMagic = 0x5452414e;
const transactionHeaderBytes = 16;
/** XLOG_MAX_REGIONS_IN_ITEM of Linux, with room: a buffer of 64 KiB and its format. */
const maxRegionsInItem = 1024;

/** Something that a transaction changed. */
export interface LogItem {
  readonly type: number;
  readonly regions: Buffer[];
  readonly regionCount: number;
}

export interface Transaction {
  /** Of the record in which it began: cycle and block. */
  readonly lsn: bigint;
  readonly items: LogItem[];
}

interface OpenTransaction {
  readonly lsn: bigint;
  headerBytes: number;
  items: LogItem[];
}

/** Joins operations to transactions over all records of a pass. */
export class TransactionAssembler {
  readonly #ring: LogRing;
  readonly #open = new Map<number, OpenTransaction>();

  constructor(ring: LogRing) {
    this.#ring = ring;
  }

  /** The transactions that a record commits, in order. Its data is unpacked in place. */
  add(record: LogRecord): Transaction[] {
    const { header, data } = record;
    const fail = (found: string) => corrupt(`XFS log record ${record.block}`, this.#ring.offsetBytes, found);
    unpackData(record.headers, data);
    const committed: Transaction[] = [];
    let at = 0;
    for (let rest = header.operationCount; rest > 0 && at + operationHeaderBytes <= header.length; rest--) {
      const id = data.readUInt32BE(at);
      const length = data.readUInt32BE(at + 4);
      const client = data[at + 8]!;
      const operationFlags = data[at + 9]!;
      at += operationHeaderBytes;
      if (!clients.has(client)) throw fail(`oh_clientid 0x${client.toString(16)}`);
      if (length > header.length - at) throw fail(`an operation of ${length} bytes leaves its ${header.length} bytes`);
      const bytes = data.subarray(at, at + length);
      at += length;
      const done = this.#operation(id, operationFlags, bytes, header.lsn, fail);
      if (done !== undefined) committed.push(done);
    }
    return committed;
  }

  #operation(id: number, operationFlags: number, bytes: Buffer, lsn: bigint, fail: (found: string) => DiskError): Transaction | undefined {
    const transaction = this.#open.get(id);
    if (transaction === undefined) {
      // What comes before a start belongs to a transaction that needs no replay.
      if ((operationFlags & flags.start) !== 0) this.#open.set(id, { lsn, headerBytes: 0, items: [] });
      return undefined;
    }
    let kind = operationFlags & ~flags.ends;
    if ((kind & flags.wasContinued) !== 0) kind &= ~flags.continues;
    switch (kind) {
      case 0: case flags.continues:
        addRegion(transaction, bytes, fail);
        return undefined;
      case flags.wasContinued:
        continueRegion(transaction, bytes, fail);
        return undefined;
      case flags.commit:
        this.#open.delete(id);
        return { lsn: transaction.lsn, items: transaction.items };
      case flags.unmount:
        this.#open.delete(id);
        return undefined;
      default:
        throw fail(`oh_flags 0x${operationFlags.toString(16)}`);
    }
  }
}

function addRegion(transaction: OpenTransaction, bytes: Buffer, fail: (found: string) => DiskError): void {
  if (bytes.length === 0) return;
  if (transaction.headerBytes === 0) {
    if (bytes.length > transactionHeaderBytes) throw fail(`a transaction header of ${bytes.length} bytes`);
    if (bytes.length >= 4 && bytes.readUInt32LE(0) !== transactionMagic) throw fail(`transaction magic 0x${bytes.readUInt32LE(0).toString(16)}`);
    transaction.headerBytes = bytes.length;
    return;
  }
  const last = transaction.items.at(-1);
  if (last !== undefined && last.regions.length < last.regionCount) {
    last.regions.push(bytes);
    return;
  }
  if (bytes.length < 4) throw fail(`an item of ${bytes.length} bytes`);
  const regionCount = bytes.readUInt16LE(2);
  if (regionCount === 0 || regionCount > maxRegionsInItem) throw fail(`an item of ${regionCount} regions`);
  transaction.items.push({ type: bytes.readUInt16LE(0), regions: [bytes], regionCount });
}

function continueRegion(transaction: OpenTransaction, bytes: Buffer, fail: (found: string) => DiskError): void {
  const last = transaction.items.at(-1);
  if (last === undefined) {
    // The header itself was cut in two.
    transaction.headerBytes += bytes.length;
    if (transaction.headerBytes > transactionHeaderBytes) throw fail(`a transaction header of ${transaction.headerBytes} bytes`);
    return;
  }
  const position = last.regions.length - 1;
  last.regions[position] = Buffer.concat([last.regions[position]!, bytes]);
}
