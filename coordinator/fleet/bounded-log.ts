/**
 * Lets the first line of each kind through and then one per interval, with the number held back: what
 * anybody can send to a topic must not fill the log.
 */
export class BoundedLog {
  readonly #write: (details: Record<string, unknown>, message: string) => void;
  readonly #intervalMs: number;
  readonly #now: () => number;
  readonly #kinds = new Map<string, { at: number; heldBack: number }>();

  constructor(write: (details: Record<string, unknown>, message: string) => void, options: { intervalMs?: number; now?: () => number } = {}) {
    this.#write = write;
    this.#intervalMs = options.intervalMs ?? 10_000;
    this.#now = options.now ?? (() => performance.now());
  }

  /** @param kind few and short: what the lines are counted by */
  warn(kind: string, details: Record<string, unknown>, message: string): void {
    const now = this.#now();
    const seen = this.#kinds.get(kind);
    if (seen !== undefined && now - seen.at < this.#intervalMs) {
      seen.heldBack += 1;
      return;
    }
    // Kinds hold sender's ids: the memory of them is bounded too.
    if (seen === undefined && this.#kinds.size >= 1000) this.#kinds.clear();
    this.#kinds.set(kind, { at: now, heldBack: 0 });
    this.#write({ ...details, ...(seen !== undefined && seen.heldBack > 0 ? { held_back: seen.heldBack } : {}) }, message);
  }
}
