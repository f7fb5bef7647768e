import { LRUCache } from "lru-cache";
import { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { DirectoryEntry, FileSystem, NodeType } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { statMany } from "./node.ts";
import type { ReadableVolume } from "./open-volume.ts";
import { toNodeError, toReaderError } from "./reader-error.ts";

/** All entries of one folder in listing order: directories first, then the bytes of the name. */
export interface Folder {
  readonly entries: readonly DirectoryEntry<unknown>[];
  /** entries[0 … directoryCount) are the directories. */
  readonly directoryCount: number;
  /** Estimate of what it holds in memory. */
  readonly costBytes: number;
}

/** Estimate for an entry besides its name: the object, its node, its place in the array. */
const entryCostBytes = 100;
/** A larger folder is refused by name: at 20 bytes a name this is about three million entries. */
const maxFolderBytes = 384 * 1024 * 1024;
/** Folders kept between pages: about a million entries. A page of a kept folder costs only that page's attributes. */
const keptFolderBytes = 128 * 1024 * 1024;
/** Entries whose type the folder doesn't tell are asked for it in batches of this size. */
const statBatch = 2048;

/** The name of the entry that stands for what could not be read, so that a folder that broke off half-way never looks complete. */
export const restOfFolder: ByteString = "(the rest of this folder can't be read)";

/** Tells a folder from all others of the disk. */
export function folderKey(volume: ReadableVolume, id: number | string): string {
  return `${volume.name}\0${id}`;
}

/** Reads folders whole and keeps the last ones, up to a bound in bytes. */
export class FolderCache {
  readonly #kept = new LRUCache<string, Folder>({ maxSize: keptFolderBytes, sizeCalculation: (folder) => folder.costBytes });
  readonly #reading = new Map<string, Promise<Folder>>();

  /**
   * @param key from folderKey
   * @param reading for messages: "folder /p2/etc"
   * @throws PluckError when nothing of it can be read
   */
  async read(key: string, fileSystem: FileSystem, node: unknown, reading: string): Promise<Folder> {
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const pending = this.#reading.get(key);
    if (pending !== undefined) return pending;
    const folder = readFolder(fileSystem, node, reading);
    this.#reading.set(key, folder);
    try {
      const read = await folder;
      // A failed read may succeed the next time.
      if (!read.entries.some((entry) => entry.error?.code === "io_error")) this.#kept.set(key, read);
      return read;
    } finally {
      this.#reading.delete(key);
    }
  }
}

async function readFolder(fileSystem: FileSystem, node: unknown, reading: string): Promise<Folder> {
  const directories: DirectoryEntry<unknown>[] = [];
  const others: DirectoryEntry<unknown>[] = [];
  const untyped: DirectoryEntry<unknown>[] = [];
  let costBytes = 0;
  try {
    for await (const batch of fileSystem.readDirectory(node)) {
      for (const entry of batch) {
        costBytes += entryCostBytes + entry.name.length;
        if (entry.type === "directory") directories.push(entry);
        else if (entry.type === undefined) untyped.push(entry);
        else others.push(entry);
      }
      if (costBytes > maxFolderBytes) {
        throw new PluckError("unsupported", `${reading} has more entries than are listed (over ${directories.length + others.length + untyped.length}).`);
      }
    }
  } catch (error) {
    if (error instanceof PluckError || directories.length + others.length + untyped.length === 0) throw toReaderError(error, reading);
    const { code, detail } = toNodeError(error, reading);
    others.push({ name: restOfFolder, node: undefined, type: "other", error: new DiskError(code, detail, { cause: error }) });
  }
  for (let start = 0; start < untyped.length; start += statBatch) {
    const batch = untyped.slice(start, start + statBatch);
    const found = await statMany(fileSystem, batch.map((entry) => entry.node));
    for (const [index, entry] of batch.entries()) {
      const attributes = found[index];
      const type: NodeType = attributes === undefined || attributes instanceof DiskError ? "other" : attributes.type;
      (type === "directory" ? directories : others).push({ ...entry, type });
    }
  }
  directories.sort(byName);
  others.sort(byName);
  const directoryCount = directories.length;
  const entries = directoryCount === 0 ? others : directories.concat(others);
  return { entries, directoryCount, costBytes: costBytes + 1000 };
}

// Names are byte strings, so `<` compares bytes. The sort is stable: equal names stay in on-disk order.
function byName(a: DirectoryEntry<unknown>, b: DirectoryEntry<unknown>): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
