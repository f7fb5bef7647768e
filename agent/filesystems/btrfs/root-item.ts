// The root of a tree. Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_root_item).
//
// Offset | Size | Field         | Meaning
// 0x00   | 160  | inode         |
// 0xa0   | 8    | generation    | of the root node
// 0xa8   | 8    | root_dirid    | 256 in file trees
// 0xb0   | 8    | bytenr        | logical address of the root node
// 0xd8   | 4    | refs          | 0: deleted, and being dropped
// 0xee   | 1    | level         | of the root node
import { corrupt } from "../../blocks/disk-error.ts";
import { readUInt64 } from "./key.ts";
import type { NodePointer } from "./node.ts";
import { maxLevel } from "./superblock.ts";

const minBytes = 0xef;

export interface RootItem {
  readonly pointer: NodePointer;
  readonly refs: number;
}

/** @param tree its id; @param owner the owner of its nodes where that isn't the id: log trees */
export function parseRootItem(data: Buffer, tree: bigint, owner = tree): RootItem {
  const what = `btrfs root item of tree ${BigInt.asIntN(64, tree)}`;
  if (data.length < minBytes) throw corrupt(what, undefined, `${data.length} bytes, expected ${minBytes} or more`);
  const level = data[0xee]!;
  if (level > maxLevel) throw corrupt(what, undefined, `level ${level}, expected 0 to ${maxLevel}`);
  const logical = readUInt64(data, 0xb0);
  const generation = readUInt64(data, 0xa0);
  if (!Number.isSafeInteger(logical)) throw corrupt(what, undefined, `bytenr ${logical}`);
  return { pointer: { logical, level, generation, owner }, refs: data.readUInt32LE(0xd8) };
}
