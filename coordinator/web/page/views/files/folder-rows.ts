import { computed, signal, type ReadonlySignal } from "@preact/signals";
import type { Entry } from "../../api/types.ts";
import { change, type Comparison } from "./compare.ts";
import { nameMatcher } from "./filter.ts";
import type { Folder } from "./folder.ts";
import { mergeRows, SortKeys, sortRows, type Sort } from "./sort.ts";

/** How all folders are sorted, until somebody says otherwise. */
export const sort = signal<Sort>({ column: "name", descending: false });

/**
 * The rows of a folder in the order they are shown. A row is a number: that of its entry in the
 * listing, and after the last of those the entries that were there in the restore point before.
 */
export class FolderRows {
  readonly folder: Folder;
  readonly filter = signal("");
  readonly comparison = signal<Comparison | undefined>(undefined);
  /** Rows by position. */
  readonly order: ReadonlySignal<Uint32Array>;
  /** All rows sorted, and with what: pages that come later are merged in. */
  #sorted: { readonly sort: Sort; readonly keys: SortKeys; rows: Uint32Array; readonly comparison: Comparison | undefined } | undefined;

  constructor(folder: Folder) {
    this.folder = folder;
    this.order = computed(() => {
      const rows = this.#sort(folder.count.value, sort.value, this.comparison.value);
      const matches = nameMatcher(this.filter.value);
      return matches === undefined ? rows : rows.filter((row) => matches(this.entryOf(row)?.name ?? ""));
    });
  }

  entryOf(row: number): Entry | undefined {
    const { entries } = this.folder;
    return row < entries.length ? entries[row] : this.comparison.peek()?.gone[row - entries.length];
  }

  changeOf(row: number): number {
    const comparison = this.comparison.peek();
    if (comparison === undefined) return change.none;
    return row < this.folder.entries.length ? (comparison.changes[row] ?? change.none) : change.gone;
  }

  entryAt(position: number): Entry | undefined {
    const row = this.order.peek()[position];
    return row === undefined ? undefined : this.entryOf(row);
  }

  #sort(count: number, by: Sort, comparison: Comparison | undefined): Uint32Array {
    let known = this.#sorted;
    if (known === undefined || known.sort.column !== by.column || known.comparison !== comparison) {
      this.#sorted = known = { sort: by, keys: new SortKeys(by.column), rows: new Uint32Array(0), comparison };
    }
    const order = known.keys.order(by.descending);
    if (known.sort.descending !== by.descending) known = this.#sorted = { ...known, sort: by, rows: known.rows.toSorted(order) };
    const from = known.keys.count;
    const total = count + (comparison?.gone.length ?? 0);
    for (let row = from; row < total; row += 1) {
      const entry = this.entryOf(row);
      if (entry !== undefined) known.keys.add(entry);
    }
    if (total > from) known.rows = from === 0 ? sortRows(0, total, order) : mergeRows(known.rows, sortRows(from, total, order), order);
    return known.rows;
  }
}
