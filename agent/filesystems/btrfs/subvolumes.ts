import type { MaybePromise } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import { hashName, parseDirItems } from "./dir-item.ts";
import { itemTypes, isOf, makeKey, maxOffset, objectidOf, readUInt64, type Key } from "./key.ts";
import type { NodeReader } from "./node-reader.ts";
import { itemData, keyAt } from "./node.ts";
import { parseRootItem, type RootItem } from "./root-item.ts";
import { Tree } from "./tree.ts";
import type { TreeChanges } from "./tree-changes.ts";

export const topLevelSubvolume = 5;
export const checksumTreeId = 7;
/** The directory of the tree of trees that names the default subvolume. */
const rootTreeDirectory = 6;
const rootRefHeaderBytes = 18;
const firstSubvolume = 256;

/** The trees of a filesystem by their id. */
export class Subvolumes {
  readonly #nodes: NodeReader;
  readonly #rootTree: Tree;
  /** What a log changes, by subvolume. */
  readonly #changes: ReadonlyMap<number, TreeChanges>;
  readonly #trees = new Map<number, Tree>();

  constructor(nodes: NodeReader, rootTree: Tree, changes: ReadonlyMap<number, TreeChanges>) {
    this.#nodes = nodes;
    this.#rootTree = rootTree;
    this.#changes = changes;
  }

  /** Throws "corrupt" where there is no such tree. */
  tree(id: number): MaybePromise<Tree> {
    const known = this.#trees.get(id);
    if (known !== undefined) return known;
    return chain(this.findRoot(id), (root) => {
      if (root === undefined) throw corrupt("btrfs root tree", undefined, `no root item for tree ${id}`);
      const tree = new Tree(this.#nodes, root.pointer, this.#changes.get(id));
      this.#trees.set(id, tree);
      return tree;
    });
  }

  /** The newest root item of a tree; undefined where there is none. */
  findRoot(id: number): MaybePromise<RootItem | undefined> {
    return chain(this.#rootTree.floor(makeKey(id, itemTypes.rootItem, maxOffset)), (view) => {
      if (view === undefined) return undefined;
      const { key, data } = itemOf(view);
      return isOf(key, id, itemTypes.rootItem) ? parseRootItem(data, BigInt(id)) : undefined;
    });
  }

  /**
   * Whether the directory is where the subvolume really hangs. A snapshot also copies the entries of
   * subvolumes below its origin, and a deleted one may still be named: Linux shows those as empty folders.
   */
  async isMountedAt(parentTree: number, directory: number, name: ByteString, subvolume: number): Promise<boolean> {
    const item = await this.#rootTree.find(makeKey(parentTree, itemTypes.rootRef, subvolume));
    if (item === undefined) return false;
    const { data } = item;
    const what = `btrfs root reference of subvolume ${subvolume}`;
    if (data.length < rootRefHeaderBytes) throw corrupt(what, undefined, `${data.length} bytes`);
    const nameLength = data.readUInt16LE(16);
    if (rootRefHeaderBytes + nameLength > data.length) throw corrupt(what, undefined, `a name of ${nameLength} bytes in ${data.length}`);
    if (readUInt64(data, 0) !== directory || toByteString(data, rootRefHeaderBytes, rootRefHeaderBytes + nameLength) !== name) return false;
    const root = await this.findRoot(subvolume);
    if (root === undefined) throw corrupt("btrfs root tree", undefined, `no root item for subvolume ${subvolume}`);
    return root.refs > 0;
  }

  /** The subvolume that a mount shows: what "default" names in the root tree's directory, else the top level. */
  async findDefault(): Promise<number> {
    const name = "default";
    const item = await this.#rootTree.find(makeKey(rootTreeDirectory, itemTypes.dirItem, hashName(name)));
    if (item === undefined) return topLevelSubvolume;
    const what = "btrfs entry of the default subvolume";
    const found = parseDirItems(item.data, what).find((entry) => entry.name === name);
    if (found === undefined) return topLevelSubvolume;
    const id = objectidOf(found.location);
    if (found.location.type !== itemTypes.rootItem || !isSubvolume(id)) throw corrupt(what, undefined, `it points to key ${id} of type ${found.location.type}`);
    return id;
  }
}

export function isSubvolume(id: number): boolean {
  return id === topLevelSubvolume || (id >= firstSubvolume && Number.isSafeInteger(id));
}

function itemOf(view: { readonly leaf: Parameters<typeof keyAt>[0]; readonly index: number }): { key: Key; data: Buffer } {
  return { key: keyAt(view.leaf, view.index), data: itemData(view.leaf, view.index) };
}
