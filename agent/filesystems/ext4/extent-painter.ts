import { hole } from "./block-runs.ts";
import type { ExtentList } from "./fast-commit-changes.ts";

/** Mappings laid one over another, the last on top. */
export class ExtentPainter {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #physical: number[] = [];

  /** Maps [start, end) to `physical` and on, or with `hole` to nothing. */
  paint(start: number, end: number, physical: number): void {
    if (start >= end) return;
    this.#starts.push(start);
    this.#ends.push(end);
    this.#physical.push(physical);
  }

  /** What is to be seen from above, in order. */
  toExtents(): ExtentList {
    const edges = Float64Array.from(new Set([...this.#starts, ...this.#ends])).sort();
    const top = new Int32Array(edges.length).fill(-1);
    // From the newest down, each piece is painted once; `free` leads to the next unpainted one.
    const free = Int32Array.from({ length: edges.length + 1 }, (_, index) => index);
    const findFree = (index: number): number => {
      let root = index;
      while (free[root] !== root) root = free[root]!;
      for (let at = index; at !== root; ) {
        const following = free[at]!;
        free[at] = root;
        at = following;
      }
      return root;
    };
    for (let layer = this.#starts.length - 1; layer >= 0; layer--) {
      const end = this.#ends[layer]!;
      for (let at = findFree(indexOf(edges, this.#starts[layer]!)); at < edges.length && edges[at]! < end; at = findFree(at)) {
        top[at] = layer;
        free[at] = at + 1;
      }
    }
    const logical: number[] = [];
    const length: number[] = [];
    const physical: number[] = [];
    for (let at = 0; at + 1 < edges.length; at++) {
      const layer = top[at]!;
      if (layer < 0 || this.#physical[layer] === hole) continue;
      logical.push(edges[at]!);
      length.push(edges[at + 1]! - edges[at]!);
      physical.push(this.#physical[layer]! + (edges[at]! - this.#starts[layer]!));
    }
    return { logical: Uint32Array.from(logical), length: Uint32Array.from(length), physical: Float64Array.from(physical) };
  }
}

/** Index of a value that is there. */
function indexOf(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
