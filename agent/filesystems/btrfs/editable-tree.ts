import { DiskError } from "../../blocks/disk-error.ts";
import { compareKeys, type Key } from "./key.ts";
import { itemData, keyAt, type Item } from "./node.ts";
import type { Tree } from "./tree.ts";
import { TreeChanges } from "./tree-changes.ts";

/** A tree and what is being changed in it, both seen as one. */
export class EditableTree {
  readonly changes = new TreeChanges();
  readonly #base: Tree;

  constructor(base: Tree) {
    this.#base = base;
  }

  /** The data of an item; undefined where there is none. */
  async find(key: Key): Promise<Buffer | undefined> {
    const change = this.changes.find(key);
    if (change !== undefined) return change.data;
    return (await this.#base.find(key))?.data;
  }

  set(key: Key, data: Buffer): void {
    this.changes.set(key, data);
  }

  delete(key: Key): void {
    this.changes.delete(key);
  }

  /** All items from `from` to `to`, both included. */
  async collect(from: Key, to: Key): Promise<Item[]> {
    const base = await collectItems(this.#base, from, to);
    const changed = this.changes.between(from, to);
    if (changed.length === 0) return base;
    const items: Item[] = [];
    let at = 0;
    for (const { key, data } of changed) {
      for (; at < base.length && compareKeys(base[at]!.key, key) < 0; at++) items.push(base[at]!);
      if (at < base.length && compareKeys(base[at]!.key, key) === 0) at++;
      if (data !== undefined) items.push({ key, data });
    }
    for (; at < base.length; at++) items.push(base[at]!);
    return items;
  }
}

/** All items of a tree from `from` to `to`, both included. Throws where one can't be read. */
export async function collectItems(tree: Tree, from: Key, to: Key): Promise<Item[]> {
  const items: Item[] = [];
  for await (const found of tree.scan(from, to)) {
    if (found instanceof DiskError) throw found;
    for (let index = found.start; index < found.end; index++) items.push({ key: keyAt(found.leaf, index), data: itemData(found.leaf, index) });
  }
  return items;
}
