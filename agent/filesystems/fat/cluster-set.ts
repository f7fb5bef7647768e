/** Bits kept together: 4 KiB of memory for 32,768 neighbouring clusters, only where a chain went. */
const PAGE_BITS = 15;
const PAGE_BYTES = 1 << (PAGE_BITS - 3);

/** The clusters that a chain has visited, to catch loops exactly; small for chains that stay together. */
export class ClusterSet {
  readonly #pages = new Map<number, Uint8Array>();

  has(cluster: number): boolean {
    const page = this.#pages.get(cluster >>> PAGE_BITS);
    return page !== undefined && (page[byteOf(cluster)]! & maskOf(cluster)) !== 0;
  }

  add(cluster: number): void {
    const index = cluster >>> PAGE_BITS;
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(index, page);
    }
    page[byteOf(cluster)]! |= maskOf(cluster);
  }
}

function byteOf(cluster: number): number {
  return (cluster & ((1 << PAGE_BITS) - 1)) >>> 3;
}

function maskOf(cluster: number): number {
  return 1 << (cluster & 7);
}
