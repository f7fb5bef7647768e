import type { JsonPage, ListRequest } from "./disk-reader.ts";

/** Folders listed at the same time that each find their next page ready. */
const maxPages = 4;
/** Larger pages are made when they are asked for. */
const maxPageBytes = 8 * 1024 * 1024;

/** A page, and whether another try might read more of it. */
export type MadePage = JsonPage & { readonly isSound: boolean };

/**
 * The pages that are likely asked for next, made while the one before is on its way: whoever lists a
 * large folder asks page by page, and would otherwise wait for the disk each time.
 */
export class PagesAhead {
  readonly #make: (request: ListRequest) => Promise<MadePage>;
  readonly #pages = new Map<string, Promise<MadePage | undefined>>();

  constructor(make: (request: ListRequest) => Promise<MadePage>) {
    this.#make = make;
  }

  /** Begins to make the page that follows `page`, once `page` had its chance to be sent. */
  prepare(request: ListRequest, page: JsonPage): void {
    if (page.next === undefined || page.entries.length > maxPageBytes) return;
    const following = { ...request, cursor: page.next };
    const key = keyOf(following);
    if (this.#pages.has(key)) return;
    const made = new Promise<MadePage>((resolve) => setImmediate(() => resolve(this.#make(following))));
    // One that failed, even in parts, is read again when it is asked for.
    this.#pages.set(key, made.then((one) => (one.isSound && one.entries.length <= maxPageBytes ? one : undefined), () => undefined));
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= maxPages) break;
      this.#pages.delete(oldest);
    }
  }

  /** The page if it was prepared; it is given once, since its buffer goes to another thread. */
  async take(request: ListRequest): Promise<MadePage | undefined> {
    const key = keyOf(request);
    const page = this.#pages.get(key);
    this.#pages.delete(key);
    return page;
  }

  clear(): void {
    this.#pages.clear();
  }
}

function keyOf({ segments, withinDepth, recursive, limit, cursor }: ListRequest): string {
  return JSON.stringify([segments, withinDepth, recursive, limit, cursor]);
}
