import { expect, test } from "vitest";
import { hole } from "./block-runs.ts";
import { checkExtentNode, isLeaf, parseExtentNode } from "./extent-node.ts";
import { mapInLeaf } from "./extent-tree.ts";
import type { Superblock } from "./superblock.ts";

const superblock = { firstDataBlock: 0, blockCount: 10_000 } as Superblock;

interface RawEntry {
  logical: number;
  length?: number;
  block: number;
}

function makeNode(depth: number, entries: readonly RawEntry[], header: { magic?: number; count?: number; max?: number } = {}): Buffer {
  const node = Buffer.alloc(60);
  node.writeUInt16LE(header.magic ?? 0xf30a, 0);
  node.writeUInt16LE(header.count ?? entries.length, 2);
  node.writeUInt16LE(header.max ?? 4, 4);
  node.writeUInt16LE(depth, 6);
  entries.forEach(({ logical, length = 1, block }, i) => {
    const at = 12 + i * 12;
    node.writeUInt32LE(logical, at);
    if (depth === 0) {
      node.writeUInt16LE(length, at + 4);
      node.writeUInt32LE(block, at + 8);
    } else {
      node.writeUInt32LE(block, at + 4);
    }
  });
  return node;
}

const check = (node: Buffer) => checkExtentNode(node, 0, 60, superblock);

test.each([
  ["a wrong magic", makeNode(0, [], { magic: 0x1234 }), /magic 0x1234/],
  ["more entries than there is room for", makeNode(0, [], { count: 5 }), /eh_entries 5/],
  ["room beyond the node", makeNode(0, [], { max: 5 }), /eh_max 5/],
  ["a tree too deep to be one", makeNode(6, [{ logical: 0, block: 9 }]), /eh_depth 6/],
  ["an index without entries", makeNode(1, []), /without entries/],
  ["a child outside the filesystem", makeNode(1, [{ logical: 0, block: 10_000 }]), /block 10000/],
  ["a child in the superblock", makeNode(1, [{ logical: 0, block: 0 }]), /block 0/],
  ["an extent of no blocks", makeNode(0, [{ logical: 0, length: 0, block: 9 }]), /0 blocks/],
  ["an extent past the end", makeNode(0, [{ logical: 0, length: 2, block: 9999 }]), /9999 to 10000/],
  ["an extent beyond the last logical block", makeNode(0, [{ logical: 2 ** 32 - 2, length: 2, block: 9 }]), /logical block 4294967294/],
  ["overlapping extents", makeNode(0, [{ logical: 0, length: 4, block: 9 }, { logical: 3, block: 90 }]), /expected 4 or later/],
  ["entries out of order", makeNode(1, [{ logical: 5, block: 9 }, { logical: 5, block: 10 }]), /expected 6 or later/],
])("finds %s", (_, node, message) => {
  expect(check(node)).toMatch(message);
});

test("maps extents, and unwritten ones as holes", () => {
  const node = makeNode(0, [
    { logical: 2, length: 3, block: 100 },
    { logical: 5, length: 2, block: 103 },
    { logical: 9, length: 32_768 + 4, block: 500 },
    { logical: 13, length: 1, block: 700 },
  ]);
  expect(check(node)).toBeUndefined();
  const leaf = parseExtentNode(node);
  if (!isLeaf(leaf)) throw new Error("a leaf was made");
  expect(mapInLeaf(leaf, 0, 20)).toEqual([
    { logical: 0, count: 2, physical: hole },
    { logical: 2, count: 5, physical: 100 },
    { logical: 7, count: 6, physical: hole },
    { logical: 13, count: 1, physical: 700 },
    { logical: 14, count: 6, physical: hole },
  ]);
  expect(mapInLeaf(leaf, 4, 6)).toEqual([{ logical: 4, count: 2, physical: 102 }]);
  expect(mapInLeaf(leaf, 8, 10)).toEqual([{ logical: 8, count: 2, physical: hole }]);
});

test("the longest written extent is 32768 blocks", () => {
  const large = { firstDataBlock: 0, blockCount: 100_000 } as Superblock;
  const node = makeNode(0, [{ logical: 0, length: 32_768, block: 9 }]);
  expect(checkExtentNode(node, 0, 60, large)).toBeUndefined();
  expect(parseExtentNode(node)).toMatchObject({ length: Uint32Array.of(32_768), physical: Float64Array.of(9) });
});
