import { signal } from "@preact/signals";
import { listFolder } from "../../api/links.ts";
import { ApiError, asApiError, isAbort } from "../../api/problem.ts";
import type { Entry, Listing } from "../../api/types.ts";
import type { DiskSession } from "./disk-session.ts";
import { lastSegment, parentOf } from "./guest-paths.ts";

/** Few, so that something is to be seen at once. */
const firstPageEntries = 1000;
const pageEntries = 10_000;

/** A folder's entries, page by page: the first is shown while the others come. */
export class Folder {
  readonly disk: DiskSession;
  /** As asked for. */
  readonly path: string;
  /** Grows with each page; `count` tells who looks at it. */
  readonly entries: Entry[] = [];
  readonly count = signal(0);
  /** Where the entries are from: symlinks followed; above `path` when that doesn't exist. */
  readonly place = signal<string | undefined>(undefined);
  /** Why it is not `path` itself that is shown. */
  readonly instead = signal<"missing" | "file" | undefined>(undefined);
  readonly isComplete = signal(false);
  readonly error = signal<ApiError | undefined>(undefined);
  readonly #abort = new AbortController();
  #cursor: string | undefined;
  #isLoading = false;

  constructor(disk: DiskSession, path: string) {
    this.disk = disk;
    this.path = path;
  }

  /** Loads what is missing; after an error it goes on where it was. Resolves when there is no more to come. */
  async load(): Promise<void> {
    if (this.#isLoading || this.isComplete.peek()) return;
    this.#isLoading = true;
    this.error.value = undefined;
    try {
      if (this.place.peek() === undefined) this.#take(await this.#findFirst());
      while (!this.isComplete.peek()) this.#take(await this.#page(this.place.peek() ?? this.path, pageEntries));
    } catch (error) {
      if (!isAbort(error)) this.error.value = asApiError(error);
    } finally {
      this.#isLoading = false;
    }
  }

  close(): void {
    this.#abort.abort();
  }

  /** The first page of the folder, or of the nearest one above it that exists. "/" lists the volumes: no folder. */
  async #findFirst(): Promise<Listing> {
    for (let path = this.path; ; path = parentOf(path)) {
      try {
        return await this.#page(path, firstPageEntries);
      } catch (error) {
        const code = error instanceof ApiError ? error.code : undefined;
        if ((code !== "path_not_found" && code !== "not_a_directory") || path === "/") throw error;
        // A file is shown in its folder; what lies "below" a file is missing.
        this.instead.value = code === "not_a_directory" && path === this.path ? "file" : "missing";
      }
    }
  }

  async #page(path: string, limit: number): Promise<Listing> {
    const { signal: aborted } = this.#abort;
    const cursor = this.#cursor;
    return await this.disk.use((mountId) => listFolder(mountId, path, { limit, signal: aborted, ...(cursor === undefined ? {} : { cursor }) }));
  }

  #take(listing: Listing): void {
    this.#cursor = listing.next;
    for (const entry of listing.entries) this.entries.push(entry);
    this.place.value = listing.path;
    this.count.value = this.entries.length;
    this.isComplete.value = listing.next === undefined;
  }
}

/** All of a folder at once; undefined when there is no such folder. @throws ApiError, AbortError */
export async function readWholeFolder(disk: DiskSession, path: string): Promise<readonly Entry[] | undefined> {
  const folder = new Folder(disk, path);
  await folder.load();
  const error = folder.error.peek();
  if (error !== undefined) throw error;
  return folder.instead.peek() === undefined ? folder.entries : undefined;
}

/** The entry that a pasted address meant, when it was a file's. */
export function meantEntry(folder: Folder): string | undefined {
  return folder.instead.peek() === "file" ? lastSegment(folder.path) : undefined;
}
