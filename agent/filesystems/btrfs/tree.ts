import type { MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, corrupt, toDiskError } from "../../blocks/disk-error.ts";
import { chain } from "../../blocks/maybe-promise.ts";
import { compareKeyAt, compareKeys, keyBefore, type Key } from "./key.ts";
import type { NodeReader } from "./node-reader.ts";
import { itemData, keyAt, keyOffset, lowerBound, pointerAt, type Item, type NodePointer, type TreeNode } from "./node.ts";
import type { TreeChanges } from "./tree-changes.ts";

/** Leaves fetched together. */
const windowLeaves = 64;

/** A leaf and the part of the key space that is its own: [lower, upper), open where undefined. */
export interface LeafView {
  readonly leaf: TreeNode;
  /** First item not before the key sought; itemCount when all are. */
  readonly index: number;
  readonly lower: Key | undefined;
  readonly upper: Key | undefined;
}

/** Items [start, end) of a leaf. */
export interface LeafItems {
  readonly leaf: TreeNode;
  readonly start: number;
  readonly end: number;
}

interface Branch {
  readonly pointer: NodePointer;
  readonly lower: Key | undefined;
  readonly upper: Key | undefined;
  /** Keys [first, end) of those sought lie in it. */
  readonly first: number;
  readonly end: number;
}

/** One B-tree. With `changes` it shows the tree as it is after them. */
export class Tree {
  readonly root: NodePointer;
  readonly #nodes: NodeReader;
  readonly #changes: TreeChanges | undefined;

  constructor(nodes: NodeReader, root: NodePointer, changes?: TreeChanges) {
    this.#nodes = nodes;
    this.root = root;
    this.#changes = changes;
  }

  /** The leaf that holds the key, or would. Levels only go down, so this ends. */
  leafFor(key: Key): MaybePromise<LeafView> {
    return chain(this.#descend(this.root, key, undefined, undefined, 0), ({ leaf, lower, upper }) => {
      return { leaf, index: lowerBound(leaf, key), lower, upper };
    });
  }

  #descend(pointer: NodePointer, key: Key, lower: Key | undefined, upper: Key | undefined, toLevel: number): MaybePromise<LeafView> {
    return chain(this.#nodes.get(pointer), (node) => {
      if (node.level === toLevel) return { leaf: node.level === 0 ? this.#patched(node, lower, upper) : node, index: 0, lower, upper };
      const index = childIndex(node, key);
      const childLower = index === 0 ? lower : keyAt(node, index);
      const childUpper = index + 1 < node.itemCount ? keyAt(node, index + 1) : upper;
      return this.#descend(pointerAt(node, index, this.root.owner), key, childLower, childUpper, toLevel);
    });
  }

  #patched(leaf: TreeNode, lower: Key | undefined, upper: Key | undefined): TreeNode {
    return this.#changes === undefined ? leaf : this.#changes.patch(leaf, lower, upper);
  }

  /** The item with exactly this key. */
  find(key: Key): MaybePromise<Item | undefined> {
    return chain(this.leafFor(key), ({ leaf, index }) => {
      if (index === leaf.itemCount || compareKeyAt(leaf.bytes, keyOffset(leaf, index), key) !== 0) return undefined;
      return { key, data: itemData(leaf, index) };
    });
  }

  /** The last item whose key is not behind `key`, with its leaf; undefined when all are behind. */
  floor(key: Key): MaybePromise<LeafView | undefined> {
    return chain(this.leafFor(key), (view) => {
      const { leaf, index, lower } = view;
      if (index < leaf.itemCount && compareKeyAt(leaf.bytes, keyOffset(leaf, index), key) === 0) return view;
      if (index > 0) return { ...view, index: index - 1 };
      const before = lower === undefined ? undefined : keyBefore(lower);
      // Each step goes to a leaf further left; only changes can leave a leaf without a smaller key.
      return before === undefined ? undefined : this.floor(before);
    });
  }

  floorItem(key: Key): MaybePromise<Item | undefined> {
    return chain(this.floor(key), (view) => (view === undefined ? undefined : { key: keyAt(view.leaf, view.index), data: itemData(view.leaf, view.index) }));
  }

  /**
   * The items from `from` to `to`, both included, a leaf at a time; leaves are read ahead. A leaf that
   * can't be read stands as its DiskError; throws when a node above the leaves can't be.
   */
  async *scan(from: Key, to: Key): AsyncGenerator<LeafItems | DiskError> {
    if (this.root.level === 0) {
      const { leaf, index } = await this.leafFor(from);
      const items = upTo(leaf, index, to);
      if (items !== undefined) yield items;
      return;
    }
    const within = await orError(() => this.leafFor(from));
    if (!(within instanceof DiskError) && (within.upper === undefined || compareKeys(within.upper, to) > 0)) {
      // Most folders, and the attributes of most files, lie in one leaf: no windows are needed for it.
      const items = upTo(within.leaf, within.index, to);
      if (items !== undefined) yield items;
      return;
    }
    let previous: Promise<(TreeNode | DiskError)[]> | undefined;
    let previousBranches: Branch[] = [];
    const emit = function* (tree: Tree, branches: readonly Branch[], nodes: readonly (TreeNode | DiskError)[]): Generator<LeafItems | DiskError> {
      for (const [position, node] of nodes.entries()) {
        if (node instanceof DiskError) {
          yield node;
          continue;
        }
        const { lower, upper } = branches[position]!;
        const leaf = tree.#patched(node, lower, upper);
        const items = upTo(leaf, lowerBound(leaf, from), to);
        if (items !== undefined) yield items;
      }
    };
    for await (const branches of this.#leafWindows(from, to)) {
      const next = this.#nodes.getMany(branches.map(({ pointer }) => pointer));
      next.catch(() => undefined);
      if (previous !== undefined) yield* emit(this, previousBranches, await previous);
      previous = next;
      previousBranches = branches;
    }
    if (previous !== undefined) yield* emit(this, previousBranches, await previous);
  }

  /** The leaves that hold [from, to], in order, some at a time. */
  async *#leafWindows(from: Key, to: Key): AsyncGenerator<Branch[]> {
    for (let key: Key | undefined = from; key !== undefined && compareKeys(key, to) <= 0; ) {
      const { leaf: parent, lower, upper } = await this.#descend(this.root, key, undefined, undefined, 1);
      let branches: Branch[] = [];
      for (let index = childIndex(parent, key); index < parent.itemCount; index++) {
        if (index > 0 && compareKeyAt(parent.bytes, keyOffset(parent, index), to) > 0) break;
        branches.push(this.#child(parent, index, lower, upper, 0, 0));
        if (branches.length < windowLeaves) continue;
        yield branches;
        branches = [];
      }
      if (branches.length > 0) yield branches;
      if (upper !== undefined && compareKeys(upper, key) <= 0) throw corrupt("btrfs tree", this.root.logical, "its keys don't ascend");
      key = upper;
    }
  }

  #child(parent: TreeNode, index: number, lower: Key | undefined, upper: Key | undefined, first: number, end: number): Branch {
    return {
      pointer: pointerAt(parent, index, this.root.owner),
      lower: index === 0 ? lower : keyAt(parent, index),
      upper: index + 1 < parent.itemCount ? keyAt(parent, index + 1) : upper,
      first,
      end,
    };
  }

  /**
   * Many items at once, level by level, with few large reads.
   * @param keys ascending
   * @param use called once a key, with its item, undefined where there is none, or why it can't be read
   */
  async findMany(keys: readonly Key[], use: (position: number, data: Buffer | DiskError | undefined) => void): Promise<void> {
    if (keys.length === 0) return;
    let branches: Branch[] = [{ pointer: this.root, lower: undefined, upper: undefined, first: 0, end: keys.length }];
    for (let level = this.root.level; level >= 0; level--) {
      const next: Branch[] = [];
      for (let start = 0; start < branches.length; start += windowLeaves) {
        const window = branches.slice(start, start + windowLeaves);
        const nodes = await this.#nodes.getMany(window.map(({ pointer }) => pointer));
        nodes.forEach((node, position) => {
          const branch = window[position]!;
          if (node instanceof DiskError) for (let at = branch.first; at < branch.end; at++) use(at, node);
          else if (level > 0) this.#spread(node, branch, keys, next);
          else useLeaf(this.#patched(node, branch.lower, branch.upper), branch, keys, use);
        });
      }
      branches = next;
    }
  }

  #spread(node: TreeNode, branch: Branch, keys: readonly Key[], next: Branch[]): void {
    for (let at = branch.first; at < branch.end; ) {
      const index = childIndex(node, keys[at]!);
      let end = at + 1;
      while (end < branch.end && (index + 1 === node.itemCount || compareKeyAt(node.bytes, keyOffset(node, index + 1), keys[end]!) > 0)) end++;
      next.push(this.#child(node, index, branch.lower, branch.upper, at, end));
      at = end;
    }
  }
}

/** The last child whose first key is not behind `key`; the first one when all are. */
function childIndex(node: TreeNode, key: Key): number {
  const index = lowerBound(node, key);
  if (index < node.itemCount && compareKeyAt(node.bytes, keyOffset(node, index), key) === 0) return index;
  return Math.max(0, index - 1);
}

function upTo(leaf: TreeNode, start: number, to: Key): LeafItems | undefined {
  let end = lowerBound(leaf, to);
  if (end < leaf.itemCount && compareKeyAt(leaf.bytes, keyOffset(leaf, end), to) === 0) end++;
  return end > start ? { leaf, start, end } : undefined;
}

function useLeaf(leaf: TreeNode, branch: Branch, keys: readonly Key[], use: (position: number, data: Buffer | DiskError | undefined) => void): void {
  for (let at = branch.first; at < branch.end; at++) {
    const index = lowerBound(leaf, keys[at]!);
    const found = index < leaf.itemCount && compareKeyAt(leaf.bytes, keyOffset(leaf, index), keys[at]!) === 0;
    use(at, found ? itemData(leaf, index) : undefined);
  }
}

/** For callers that await anyway: the error of a read as a value. */
export async function orError<T>(read: () => MaybePromise<T>): Promise<T | DiskError> {
  try {
    return await read();
  } catch (error) {
    return toDiskError(error);
  }
}
