import { Failure } from "../output/failure.ts";
import { maxListing } from "./limits.ts";
import { jsonOf, problemOf, reach, type Coordinator } from "./coordinator.ts";
import type { Entry, FileInfo, Listing, Mount } from "./types.ts";

/** A link is renewed this long before it ends. */
const renewBeforeMs = 60_000;
/** A busy agent may take a while for the first page of a huge folder. */
const answerTimeoutMs = 120_000;

/** Looks into one mount, by one browse link for all its folders. */
export class Browser {
  readonly mount: Mount;
  readonly #coordinator: Coordinator;
  readonly #signal: AbortSignal;
  #link: Promise<{ url: URL; renewAt: number }> | undefined;

  constructor(coordinator: Coordinator, mount: Mount, signal: AbortSignal) {
    this.#coordinator = coordinator;
    this.mount = mount;
    this.#signal = signal;
  }

  /** One page. */
  async list(path: string, query: Readonly<Record<string, string>> = {}): Promise<Listing> {
    return (await this.#ask("files", path, query)) as Listing;
  }

  /** A folder's entries, in the agent's order: folders first, then by name; recursive: depth first. */
  async *entries(path: string, recursive = false): AsyncGenerator<Entry> {
    let cursor: string | undefined;
    do {
      const page: Listing = await this.list(path, { limit: String(maxListing), ...(recursive ? { recursive: "true" } : {}), ...(cursor === undefined ? {} : { cursor }) });
      yield* page.entries;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** A symlink is not followed. */
  async info(path: string, query: Readonly<Record<string, string>> = {}): Promise<FileInfo & { sha256?: string }> {
    return (await this.#ask("file-info", path, query)) as FileInfo & { sha256?: string };
  }

  /** A signed address of the bytes of a file (or a volume, with raw). */
  async downloadUrl(path: string, raw: boolean): Promise<string> {
    const { headers } = await this.#coordinator.call("GET", `/restore/${encodeURIComponent(this.mount.mount_id)}/download?path=${encodeURIComponent(path)}${raw ? "&raw=true" : ""}`);
    return headers.get("location") ?? "";
  }

  async #ask(route: "files" | "file-info", path: string, query: Readonly<Record<string, string>>): Promise<unknown> {
    try {
      return await this.#askOnce(route, path, query);
    } catch (error) {
      // The clocks may differ: the agent's decides.
      if (!(error instanceof Failure) || error.code !== "link_expired") throw error;
      this.#link = undefined;
      return await this.#askOnce(route, path, query);
    }
  }

  async #askOnce(route: "files" | "file-info", path: string, query: Readonly<Record<string, string>>): Promise<unknown> {
    const { url } = await this.#current();
    const asked = new URL(url);
    asked.pathname = asked.pathname.replace(/[^/]+$/, route);
    const token = asked.searchParams.get("token") ?? "";
    const parameters = Object.entries({ path, ...query, token }).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    asked.search = `?${parameters.join("&")}`;
    const response = await reach(asked.href, { signal: AbortSignal.any([this.#signal, AbortSignal.timeout(answerTimeoutMs)]) });
    if (!response.ok) throw await problemOf(response);
    return await jsonOf(response);
  }

  async #current(): Promise<{ url: URL; renewAt: number }> {
    const link = await this.#link?.catch(() => undefined);
    if (link !== undefined && Date.now() < link.renewAt) return link;
    this.#link = this.#coordinator.link(this.mount.mount_id, { operation: "browse", path: "/", ttl_s: 3600 }).then(({ url, expires_at }) => ({
      url: new URL(url),
      renewAt: Date.parse(expires_at) - renewBeforeMs,
    }));
    return await this.#link;
  }
}
