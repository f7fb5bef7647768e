// One extent of a fork: 128 bits, big-endian, packed.
// Source: "XFS Algorithms & Data Structures" (extent list), Linux fs/xfs/libxfs/xfs_format.h (struct xfs_bmbt_rec).
//
// Bit      | Bits | Field          | Meaning
// 127      | 1    | br_state       | allocated but unwritten: reads as zeros
// 126..73  | 54   | br_startoff    | first block within the fork
// 72..21   | 52   | br_startblock  | first block on the disk, numbered by allocation group
// 20..0    | 21   | br_blockcount  | blocks

/** Bytes of a record. */
export const extentRecordBytes = 16;

/** What stands in `physical` for blocks that read as zeros. */
export const hole = -1;

/** Extents of a fork in order, by column. */
export interface ExtentList {
  readonly logical: Float64Array;
  readonly count: Float64Array;
  /** Block number as on the disk, or `hole` for unwritten ones. */
  readonly physical: Float64Array;
}

/**
 * @param count records there are; the caller has checked that they lie inside `data`
 * @returns the list, or what is wrong with it
 */
export function parseExtentRecords(data: Buffer, at: number, count: number): ExtentList | string {
  const list = { logical: new Float64Array(count), count: new Float64Array(count), physical: new Float64Array(count) };
  let end = 0;
  for (let index = 0; index < count; index++) {
    const from = at + index * extentRecordBytes;
    const high = data.readUInt32BE(from);
    const second = data.readUInt32BE(from + 4);
    const third = data.readUInt32BE(from + 8);
    const low = data.readUInt32BE(from + 12);
    const logical = (high & 0x7fffffff) * 2 ** 23 + (second >>> 9);
    const blocks = low & 0x1fffff;
    if (blocks === 0) return `extent ${index} has no blocks`;
    if (logical < end) return `extent ${index} begins at block ${logical}, but the one before ends at ${end}`;
    end = logical + blocks;
    list.logical[index] = logical;
    list.count[index] = blocks;
    list.physical[index] = high >= 0x80000000 ? hole : (second & 0x1ff) * 2 ** 43 + third * 2 ** 11 + (low >>> 21);
  }
  return list;
}
