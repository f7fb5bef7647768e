/** Bytes read ahead by all transfers of one disk together. */
const totalBytes = 16 * 1024 * 1024;
/** One transfer alone: enough to keep several large requests under way. */
const maxWindowBytes = 4 * 1024 * 1024;
/** Below this a transfer would wait for every single read. */
const minWindowBytes = 256 * 1024;
const maxChunkBytes = 1024 * 1024;
const minChunkBytes = 128 * 1024;

/** Shares the memory for reading ahead among the transfers of a disk: many transfers get small windows, one gets a large one. */
export class ReadBudget {
  #transfers = 0;

  /** Bytes that one transfer may hold: being read, or read and not yet taken. */
  get windowBytes(): number {
    const share = Math.floor(totalBytes / Math.max(this.#transfers, 1));
    return Math.min(Math.max(share, minWindowBytes), maxWindowBytes);
  }

  /** Size of one read, so that a few fit into the window. */
  get chunkBytes(): number {
    return Math.min(Math.max(Math.floor(this.windowBytes / 4), minChunkBytes), maxChunkBytes);
  }

  /** Counts a transfer; call the result once when it is over. */
  begin(): () => void {
    this.#transfers += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#transfers -= 1;
    };
  }
}
