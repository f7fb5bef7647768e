import type { Browser } from "../api/browse.ts";
import type { ResolvedDisk } from "../api/resolve.ts";
import type { Entry, FileInfo, Listing, Mount } from "../api/types.ts";
import type { Session } from "../context.ts";
import { Failure } from "../output/failure.ts";
import { problemOf, reach } from "../api/coordinator.ts";
import { maxListing } from "../api/limits.ts";
import { withRetries } from "./retries.ts";

/** One open disk over the length of a long download: asked again when the network fails, opened again when it was ended. */
export class OpenDisk {
  readonly #session: Session;
  readonly #resolved: ResolvedDisk;
  readonly #retries: number;
  readonly #waitS: number;
  #current: { mount: Mount; browser: Browser };
  #reopening: Promise<void> | undefined;

  private constructor(session: Session, resolved: ResolvedDisk, options: { retries: number; waitS: number }, current: { mount: Mount; browser: Browser }) {
    this.#session = session;
    this.#resolved = resolved;
    this.#retries = options.retries;
    this.#waitS = options.waitS;
    this.#current = current;
  }

  static async open(session: Session, resolved: ResolvedDisk, options: { retries: number; waitS: number }): Promise<OpenDisk> {
    const current = await withRetries(async () => await session.open(resolved, options.waitS), { retries: options.retries, signal: session.signal });
    return new OpenDisk(session, resolved, options, current);
  }

  get mount(): Mount {
    return this.#current.browser.mount;
  }

  async info(path: string, query: Readonly<Record<string, string>> = {}): Promise<FileInfo & { sha256?: string }> {
    return await this.#retrying(async (browser) => await browser.info(path, query));
  }

  async list(path: string, query: Readonly<Record<string, string>>): Promise<Listing> {
    return await this.#retrying(async (browser) => await browser.list(path, query));
  }

  /** All below a folder, parents before what is in them. */
  async *walk(path: string): AsyncGenerator<Entry> {
    let cursor: string | undefined;
    do {
      const page: Listing = await this.list(path, { limit: String(maxListing), recursive: "true", ...(cursor === undefined ? {} : { cursor }) });
      yield* page.entries;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** Not tried again: that is for the download to do. */
  async downloadUrl(path: string, raw: boolean): Promise<string> {
    return await this.#current.browser.downloadUrl(path, raw);
  }

  /** The files of these paths as one tar, not tried again. */
  async openArchive(paths: readonly string[]): Promise<AsyncIterable<Uint8Array>> {
    const { coordinator, signal } = this.#session;
    const items = paths.map((path) => ({ mount_id: this.mount.mount_id, path }));
    const { body } = await coordinator.call("POST", "/restore/archives", { format: "tar", items });
    const { url, selection } = body as { url: string; selection: string };
    const stalled = new AbortController();
    const response = await reach(url, { method: "POST", body: new URLSearchParams({ selection }), signal: AbortSignal.any([signal, stalled.signal]) });
    if (!response.ok) throw await problemOf(response);
    return chunksOf(response, stalled);
  }

  /** After an error that may pass: an ended mount is opened again, once for all who wait. */
  async recover(failure: Failure): Promise<void> {
    if (failure.code !== "mount_not_found") return;
    this.#reopening ??= this.#session
      .open(this.#resolved, this.#waitS)
      .then((opened) => {
        this.#current = opened;
      })
      .finally(() => {
        this.#reopening = undefined;
      });
    // The next attempt will say what is wrong.
    await this.#reopening.catch(() => undefined);
  }

  async end(): Promise<void> {
    await this.#session.mounts.end(this.mount);
  }

  async #retrying<T>(work: (browser: Browser) => Promise<T>): Promise<T> {
    return await withRetries(async () => await work(this.#current.browser), {
      retries: this.#retries,
      signal: this.#session.signal,
      onRetry: async (failure) => await this.recover(failure),
    });
  }
}

/** A connection that brings nothing for so long is given up. */
const stalledMs = 60_000;

async function* chunksOf(response: Response, stalled: AbortController): AsyncGenerator<Uint8Array> {
  const timer = setTimeout(() => stalled.abort(new Failure("incomplete", "Nothing came for a while.")), stalledMs);
  try {
    for await (const chunk of response.body ?? []) {
      timer.refresh();
      yield chunk;
    }
  } finally {
    clearTimeout(timer);
  }
}
