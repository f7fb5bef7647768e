// Keys, by which every item of every btrfs tree is sorted: object, then type, then offset.
// Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_disk_key), and the btrfs on-disk format pages.
//
// Offset | Size | Field    | Meaning
// 0x0    | 8    | objectid | an inode number, a tree's id, a logical address; negative ones are the system's
// 0x8    | 1    | type     | what the item is
// 0x9    | 8    | offset   | depends on the type
//
// The 64-bit parts are kept as two halves: they reach over 2^53, and comparing must be exact and fast.

export const keySizeBytes = 17;

export interface Key {
  readonly objectHigh: number;
  readonly objectLow: number;
  readonly type: number;
  readonly offsetHigh: number;
  readonly offsetLow: number;
}

export const itemTypes = {
  inodeItem: 1, inodeRef: 12, inodeExtref: 13, xattrItem: 24, orphanItem: 48, dirLogItem: 60, dirLogIndex: 72,
  dirItem: 84, dirIndex: 96, extentData: 108, extentCsum: 128, rootItem: 132, rootRef: 156, deviceItem: 216, chunkItem: 228,
} as const;

const two32 = 2 ** 32;

/** @param objectid, offset a non-negative safe integer, or any bigint taken modulo 2^64 */
export function makeKey(objectid: number | bigint, type: number, offset: number | bigint): Key {
  return { objectHigh: high(objectid), objectLow: low(objectid), type, offsetHigh: high(offset), offsetLow: low(offset) };
}

function high(value: number | bigint): number {
  return typeof value === "number" ? Math.floor(value / two32) : Number(BigInt.asUintN(64, value) >> 32n);
}

function low(value: number | bigint): number {
  return typeof value === "number" ? value % two32 : Number(BigInt.asUintN(32, value));
}

/** The largest offset a key can have. */
export const maxOffset = 2n ** 64n - 1n;

export function readKey(bytes: Buffer, at: number): Key {
  return {
    objectHigh: bytes.readUInt32LE(at + 4),
    objectLow: bytes.readUInt32LE(at),
    type: bytes[at + 8]!,
    offsetHigh: bytes.readUInt32LE(at + 13),
    offsetLow: bytes.readUInt32LE(at + 9),
  };
}

export function writeKey(bytes: Buffer, at: number, key: Key): void {
  bytes.writeUInt32LE(key.objectLow, at);
  bytes.writeUInt32LE(key.objectHigh, at + 4);
  bytes[at + 8] = key.type;
  bytes.writeUInt32LE(key.offsetLow, at + 9);
  bytes.writeUInt32LE(key.offsetHigh, at + 13);
}

/** Negative when the key at `at` comes before `key`, 0 when they are the same. */
export function compareKeyAt(bytes: Buffer, at: number, key: Key): number {
  return (
    bytes.readUInt32LE(at + 4) - key.objectHigh || bytes.readUInt32LE(at) - key.objectLow || bytes[at + 8]! - key.type ||
    bytes.readUInt32LE(at + 13) - key.offsetHigh || bytes.readUInt32LE(at + 9) - key.offsetLow
  );
}

export function compareKeys(a: Key, b: Key): number {
  return (
    a.objectHigh - b.objectHigh || a.objectLow - b.objectLow || a.type - b.type || a.offsetHigh - b.offsetHigh || a.offsetLow - b.offsetLow
  );
}

/** Exact up to 2^53 − 1; larger ones come rounded, and no longer are safe integers. */
export function objectidOf(key: Key): number {
  return key.objectHigh * two32 + key.objectLow;
}

/** Likewise. */
export function offsetOf(key: Key): number {
  return key.offsetHigh * two32 + key.offsetLow;
}

export function isOf(key: Key, objectid: number, type: number): boolean {
  return key.type === type && objectidOf(key) === objectid;
}

/** The key right before this one; undefined for the first of all. */
export function keyBefore(key: Key): Key | undefined {
  const offset = (BigInt(key.offsetHigh) << 32n) | BigInt(key.offsetLow);
  if (offset > 0n) return { ...key, ...split(offset - 1n) };
  if (key.type > 0) return { ...key, type: key.type - 1, ...split(maxOffset) };
  const objectid = (BigInt(key.objectHigh) << 32n) | BigInt(key.objectLow);
  return objectid === 0n ? undefined : makeKey(objectid - 1n, 255, maxOffset);
}

function split(offset: bigint): { offsetHigh: number; offsetLow: number } {
  return { offsetHigh: high(offset), offsetLow: low(offset) };
}

/** A 64-bit number as a JavaScript number: exact up to 2^53 − 1, else rounded and no safe integer. */
export function readUInt64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * two32 + bytes.readUInt32LE(at);
}

export function showKey(key: Key): string {
  const objectid = BigInt.asIntN(64, (BigInt(key.objectHigh) << 32n) | BigInt(key.objectLow));
  return `(${objectid} ${key.type} ${(BigInt(key.offsetHigh) << 32n) | BigInt(key.offsetLow)})`;
}
