/**
 * Finds out whether a qcow2 file was cut short, from its refcounts.
 *
 * QEMU reads what lies past the end of a file as zeros, so a copy that broke off would show its missing
 * part as empty disk. The refcounts say how far the file must reach: the last cluster in use.
 *
 * Source: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt, "Host cluster management".
 *
 * Refcount table entry (8 bytes; bits 9 to 63 are the offset of a refcount block, 0: all its clusters are free)
 * | Offset | Size | Field  | Meaning
 * |      0 |    8 | offset | of a refcount block, one cluster long
 * Refcount block: clusterBytes * 8 / refcountBits counters, one a cluster; 0: free. Wider ones are big endian.
 */
import { corrupt } from "../blocks/disk-error.ts";
import type { Qcow2Header } from "./qcow2-header.ts";

/** QEMU opens no larger refcount table. */
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;

/** Reads [offset, offset + length) of the file; what lies past its end is missing from the result. */
export type ReadFile = (offset: number, length: number) => Promise<Uint8Array>;

/**
 * Throws "corrupt" when the last cluster in use lies wholly past the end of the file. A file that ends
 * inside its last cluster is whole: QEMU may leave the tail of a compressed one unwritten.
 */
export async function assertNotCutShort(header: Qcow2Header, fileBytes: number, read: ReadFile): Promise<void> {
  // A dirty image's refcounts are out of date by design.
  if (header.isDirty) return;
  const { clusterBytes, refcountTableOffset } = header;
  const tableBytes = header.refcountTableClusters * clusterBytes;
  if (tableBytes === 0 || tableBytes > MAX_REFCOUNT_TABLE_BYTES) {
    throw corrupt("qcow2 refcount table", refcountTableOffset, `${tableBytes} bytes, expected up to ${MAX_REFCOUNT_TABLE_BYTES}`);
  }
  assertInside("refcount table", refcountTableOffset, tableBytes, fileBytes);
  const table = await read(refcountTableOffset, tableBytes);
  const index = findLastBlock(table);
  if (index === undefined) throw corrupt("qcow2 refcount table", refcountTableOffset, "every entry is 0");

  const blockOffset = entryOffset(table, index);
  assertInside("refcount block", blockOffset, clusterBytes, fileBytes);
  const block = await read(blockOffset, clusterBytes);
  const last = findLastUsed(block, header.refcountBits);
  // A block of zeros only counts free clusters; what is in use before it need not be looked for.
  if (last === undefined) return;
  const countersPerBlock = (clusterBytes * 8) / header.refcountBits;
  const lastCluster = (index * countersPerBlock + last) * clusterBytes;
  if (lastCluster >= fileBytes) {
    throw corrupt("qcow2 file", fileBytes, `it ends here, but has a cluster in use at ${lastCluster}: it was cut short`);
  }
}

function assertInside(what: string, offset: number, length: number, fileBytes: number): void {
  if (offset + length <= fileBytes) return;
  throw corrupt(`qcow2 ${what}`, offset, `its ${length} bytes lie past the end of the file at ${fileBytes}: it was cut short`);
}

/** Index of the last refcount table entry that is not 0. */
function findLastBlock(table: Uint8Array): number | undefined {
  for (let index = Math.floor(table.length / 8) - 1; index >= 0; index -= 1) {
    if (entryOffset(table, index) !== 0) return index;
  }
  return undefined;
}

/** Beyond 2^53 the number is inexact, and far past any file's end all the same. */
function entryOffset(table: Uint8Array, index: number): number {
  const view = new DataView(table.buffer, table.byteOffset + index * 8, 8);
  return view.getUint32(0) * 2 ** 32 + ((view.getUint32(4) & 0xffff_fe00) >>> 0);
}

/** Index of the last counter of a block that is not 0. */
function findLastUsed(block: Uint8Array, refcountBits: number): number | undefined {
  let last = block.length - 1;
  while (last >= 0 && block[last] === 0) last -= 1;
  if (last < 0) return undefined;
  if (refcountBits >= 8) return Math.floor(last / (refcountBits / 8));
  // Counters of less than a byte fill it from the lowest bits up.
  const highestBit = 31 - Math.clz32(block[last] ?? 0);
  return last * (8 / refcountBits) + Math.floor(highestBit / refcountBits);
}
