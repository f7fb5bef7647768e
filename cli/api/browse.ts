import { Failure } from "../output/failure.ts";
import { maxListing } from "./limits.ts";
import { jsonOf, problemOf, reach, type Coordinator } from "./coordinator.ts";
import type { Entry, FileInfo, Listing, Mount } from "./types.ts";

/** A link is renewed this long before it ends. */
const renewBeforeMs = 60_000;
/** A busy agent may take a while for the first page of a huge folder. */
const answerTimeoutMs = 120_000;

/** Another command may end the mount that both use, over and over: but not for ever. */
const maxReopenings = 5;

/** Looks into one open disk, by one browse link for all its folders. When its mount is ended meanwhile it is opened again. */
export class Browser {
  #mount: Mount;
  readonly #reopen: () => Promise<Mount>;
  readonly #coordinator: Coordinator;
  readonly #signal: AbortSignal;
  #link: Promise<{ url: URL; renewAt: number }> | undefined;

  constructor(coordinator: Coordinator, mount: Mount, reopen: () => Promise<Mount>, signal: AbortSignal) {
    this.#coordinator = coordinator;
    this.#mount = mount;
    this.#reopen = reopen;
    this.#signal = signal;
  }

  get mount(): Mount {
    return this.#mount;
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
    return await this.#onMount(async () => {
      const { headers } = await this.#coordinator.call("GET", `/restore/${encodeURIComponent(this.#mount.mount_id)}/download?path=${encodeURIComponent(path)}${raw ? "&raw=true" : ""}`);
      return headers.get("location") ?? "";
    });
  }

  async #ask(route: "files" | "file-info", path: string, query: Readonly<Record<string, string>>): Promise<unknown> {
    return await this.#onMount(async () => await this.#askOnce(route, path, query));
  }

  async #onMount<T>(work: () => Promise<T>): Promise<T> {
    for (let reopened = 0; ; ) {
      const { mount_id: used } = this.#mount;
      const link = this.#link;
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Failure) || reopened >= maxReopenings) throw error;
        // The clocks may differ: the agent's decides whether a link has expired.
        if (error.code !== "link_expired" && error.code !== "mount_not_found") throw error;
        reopened += 1;
        if (error.code === "mount_not_found" && this.#mount.mount_id === used) this.#mount = await this.#reopen();
        if (this.#link === link) this.#link = undefined;
      }
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
    this.#link = this.#coordinator.link(this.#mount.mount_id, { operation: "browse", path: "/", ttl_s: 3600 }).then(({ url, expires_at }) => ({
      url: new URL(url),
      renewAt: Date.parse(expires_at) - renewBeforeMs,
    }));
    return await this.#link;
  }
}
