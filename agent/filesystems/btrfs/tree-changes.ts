import { compareKeyAt, compareKeys, type Key } from "./key.ts";
import { buildLeaf, itemData, keyAt, keyOffset, type Item, type TreeNode } from "./node.ts";

export interface Change {
  readonly key: Key;
  /** Undefined where the item is deleted. */
  readonly data: Buffer | undefined;
}

/** Leaves with changes kept patched. */
const cachedLeaves = 256;

/** Items set and deleted over a tree, in memory: what replaying a log would write. */
export class TreeChanges {
  /** Sorted by key. */
  readonly #changes: Change[] = [];
  readonly #leaves = new Map<TreeNode, TreeNode>();

  set(key: Key, data: Buffer): void {
    this.#put({ key, data });
  }

  delete(key: Key): void {
    this.#put({ key, data: undefined });
  }

  find(key: Key): Change | undefined {
    const found = this.#changes[this.#lowerBound(key)];
    return found !== undefined && compareKeys(found.key, key) === 0 ? found : undefined;
  }

  /** The changes from `from` to `to`, both included, by key. */
  between(from: Key, to: Key): Change[] {
    const found: Change[] = [];
    for (let index = this.#lowerBound(from); index < this.#changes.length; index++) {
      const change = this.#changes[index]!;
      if (compareKeys(change.key, to) > 0) break;
      found.push(change);
    }
    return found;
  }

  #put(change: Change): void {
    const index = this.#lowerBound(change.key);
    const found = this.#changes[index];
    if (found !== undefined && compareKeys(found.key, change.key) === 0) this.#changes[index] = change;
    else this.#changes.splice(index, 0, change);
    this.#leaves.clear();
  }

  /** The leaf as it is after the changes in its part [lower, upper) of the key space. */
  patch(leaf: TreeNode, lower: Key | undefined, upper: Key | undefined): TreeNode {
    const first = lower === undefined ? 0 : this.#lowerBound(lower);
    const end = upper === undefined ? this.#changes.length : this.#lowerBound(upper);
    if (first === end) return leaf;
    const cached = this.#leaves.get(leaf);
    if (cached !== undefined) return cached;
    const items: Item[] = [];
    let at = first;
    const addChange = () => {
      const { key, data } = this.#changes[at++]!;
      if (data !== undefined) items.push({ key, data });
    };
    for (let index = 0; index < leaf.itemCount; index++) {
      while (at < end && compareKeyAt(leaf.bytes, keyOffset(leaf, index), this.#changes[at]!.key) > 0) addChange();
      if (at < end && compareKeyAt(leaf.bytes, keyOffset(leaf, index), this.#changes[at]!.key) === 0) addChange();
      else items.push({ key: keyAt(leaf, index), data: itemData(leaf, index) });
    }
    while (at < end) addChange();
    const patched = buildLeaf(items, leaf.logical, leaf.owner);
    if (this.#leaves.size >= cachedLeaves) this.#leaves.clear();
    this.#leaves.set(leaf, patched);
    return patched;
  }

  /** Index of the first change whose key is not before `key`. */
  #lowerBound(key: Key): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#changes[middle]!.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
