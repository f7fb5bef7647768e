import type { MaybePromise } from "../../blocks/block-source.ts";
import { corrupt, type DiskError, toDiskError } from "../../blocks/disk-error.ts";
import { END_OF_CHAIN, type FatTable } from "./fat-table.ts";
import { ClusterSet } from "./cluster-set.ts";

/** Consecutive clusters of a chain. */
export interface ClusterRun {
  /** Index within the chain, from 0. */
  readonly index: number;
  readonly cluster: number;
  count: number;
}

/**
 * A chain of clusters, followed only as far as it is asked for, and kept as runs of consecutive clusters. A loop,
 * a free, bad or impossible entry ends it with an error that stands for everything from there on.
 */
export class ClusterChain {
  readonly runs: ClusterRun[] = [];
  /** Clusters known so far. */
  length = 0;
  /** Set when the chain has ended: properly (undefined error) or by damage. */
  end: { readonly error: DiskError | undefined } | undefined;

  readonly #table: FatTable;
  readonly #owner: string;
  readonly #seen = new ClusterSet();
  #following: Promise<void> | undefined;
  #last: number;

  /** @param owner names the file in errors */
  constructor(table: FatTable, firstCluster: number, owner: string) {
    this.#table = table;
    this.#owner = owner;
    this.#last = firstCluster;
    if (!table.isCluster(firstCluster)) this.#fail(`starts at cluster ${firstCluster}, the clusters are 2 to ${table.endCluster - 1}`);
    else this.#append(firstCluster);
  }

  /**
   * Follows the chain until it holds `count` clusters or ends; at once when the table is at hand. Throws only
   * "io_error", after which it may be tried again.
   */
  follow(count: number): MaybePromise<void> {
    if (this.length >= count || this.end !== undefined) return;
    // Two readers of one file must not both advance it.
    if (this.#following !== undefined) return this.#following.then(() => this.follow(count));
    const pending = this.#advance(count);
    if (pending === undefined) return;
    this.#following = this.#continue(pending, count).finally(() => (this.#following = undefined));
    return this.#following;
  }

  /** The position in `runs` of the run that holds a cluster of the chain; -1 beyond what was followed. */
  runIndex(index: number): number {
    if (index >= this.length) return -1;
    let low = 0;
    let high = this.runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.runs[middle]!.index <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Follows what is at hand; returns the promise of the next entry when it is not. */
  #advance(count: number): Promise<number> | undefined {
    while (this.length < count && this.end === undefined) {
      try {
        const next = this.#table.next(this.#last);
        if (next instanceof Promise) return next;
        this.#take(next);
      } catch (error) {
        this.#damaged(error);
      }
    }
    return undefined;
  }

  async #continue(pending: Promise<number>, count: number): Promise<void> {
    for (let next: Promise<number> | undefined = pending; next !== undefined; next = this.#advance(count)) {
      try {
        this.#take(await next);
      } catch (error) {
        this.#damaged(error);
      }
    }
  }

  #take(next: number): void {
    if (next === END_OF_CHAIN) this.end = { error: undefined };
    else if (this.#seen.has(next)) this.#fail(`comes back to cluster ${next} after ${this.length} clusters`);
    else this.#append(next);
  }

  #append(cluster: number): void {
    const run = this.runs.at(-1);
    if (run !== undefined && run.cluster + run.count === cluster) run.count += 1;
    else this.runs.push({ index: this.length, cluster, count: 1 });
    this.#seen.add(cluster);
    this.length += 1;
    this.#last = cluster;
  }

  #damaged(error: unknown): void {
    const known = toDiskError(error);
    if (known.code === "io_error") throw known;
    this.#fail(known.message);
  }

  #fail(found: string): void {
    this.end = { error: corrupt(`FAT chain of ${this.#owner}`, undefined, found) };
  }
}
