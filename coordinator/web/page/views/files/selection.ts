import { signal } from "@preact/signals";

/** Chosen rows of one folder. A set of up to 100,000 that is changed in place; `version` tells who looks at it. */
export class Selection {
  readonly #rows = new Set<number>();
  readonly version = signal(0);

  get size(): number {
    return this.#rows.size;
  }

  has(row: number): boolean {
    return this.#rows.has(row);
  }

  rows(): number[] {
    return [...this.#rows];
  }

  toggle(row: number): void {
    if (!this.#rows.delete(row)) this.#rows.add(row);
    this.version.value += 1;
  }

  /** These and no others. */
  replace(rows: Iterable<number>): void {
    this.#rows.clear();
    for (const row of rows) this.#rows.add(row);
    this.version.value += 1;
  }

  clear(): void {
    if (this.#rows.size > 0) this.replace([]);
  }
}
