import type { MaybePromise } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { DirectoryEntry } from "../filesystems/filesystem.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { findPosition, type Position, positionOf } from "./cursor.ts";
import { type Folder, type FolderCache, folderKey } from "./folder.ts";
import { statOne } from "./node.ts";
import type { OpenVolume, ReadableVolume } from "./open-volume.ts";
import { toNodeError, toReaderError } from "./reader-error.ts";
import type { NodePlace } from "./resolve.ts";

/**
 * Folders inside each other that are entered. Linux can make deeper ones, but no path to them can be
 * written in a request (see maxPathDepth); a damaged disk that is deeper than this counts as a loop.
 */
export const maxFolderDepth = 2048;

/** One entry on the way, in listing order. */
export type Visit = EntryVisit | { readonly kind: "volume"; readonly volume: OpenVolume; readonly path: readonly ByteString[] };

export interface EntryVisit {
  readonly kind: "entry";
  readonly volume: ReadableVolume;
  readonly path: readonly ByteString[];
  readonly entry: DirectoryEntry<unknown>;
  /** Set for a folder that is shown but can't be entered. */
  readonly folderError?: DiskError;
}

/** A folder being gone through; `index` is the next entry. */
interface Frame {
  readonly volume: ReadableVolume;
  readonly folder: Folder;
  readonly path: readonly ByteString[];
  readonly id: number | string;
  index: number;
  prefetchedUntil: number;
}

/**
 * Goes through a folder and all below it, depth first, in listing order: a folder right before what
 * it holds. Holds one position a level, not the tree. A folder that is its own ancestor is not entered.
 */
export class Traversal {
  readonly #volumes: readonly OpenVolume[];
  readonly #folders: FolderCache;
  readonly #place: { readonly kind: "top" } | NodePlace;
  readonly #foldersAhead: number;
  readonly #frames: Frame[] = [];
  /** At "/": the next volume. */
  #volumeIndex = 0;

  /** @param foldersAhead how many of the next folders are read before their turn */
  constructor(volumes: readonly OpenVolume[], folders: FolderCache, place: { readonly kind: "top" } | NodePlace, foldersAhead = 0) {
    this.#foldersAhead = foldersAhead;
    // The guests' own trees show once more what the volumes hold.
    this.#volumes = volumes.filter((volume) => volume.guest === undefined);
    this.#folders = folders;
    this.#place = place;
  }

  /** Begins before the first entry. Throws when the folder itself can't be read. */
  async start(): Promise<void> {
    const place = this.#place;
    if (place.kind === "top") return;
    const { volume, path, node, attributes } = place;
    this.#frames.push(await this.#readFolder(volume, path, node, attributes.id));
  }

  /** Begins after the entry at `positions`. */
  async seek(positions: readonly Position[]): Promise<void> {
    await this.start();
    let rest = positions;
    if (this.#place.kind === "top") {
      const [first, ...below] = positions;
      const index = this.#volumes.findIndex((volume) => volume.name === first?.name);
      this.#volumeIndex = index + 1;
      const volume = this.#volumes[index];
      if (volume === undefined || !volume.readable) return;
      if ((await this.#enterVolume(volume)) !== undefined) return;
      rest = below;
    }
    for (const position of rest) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return;
      const { index, exact } = findPosition(frame.folder, position);
      frame.index = exact ? index + 1 : index;
      const entry = frame.folder.entries[index];
      if (!exact || entry === undefined || index >= frame.folder.directoryCount) return;
      if ((await this.#enter(frame, entry)) !== undefined) return;
    }
  }

  /** The last entry given, from the first folder downwards. */
  positions(): Position[] {
    const positions: Position[] = [];
    if (this.#place.kind === "top") {
      const volume = this.#volumes[this.#volumeIndex - 1];
      if (volume !== undefined) positions.push({ directory: true, name: volume.name, ordinal: 0 });
    }
    for (const frame of this.#frames) {
      if (frame.index > 0) positions.push(positionOf(frame.folder, frame.index - 1));
    }
    return positions;
  }

  /** The next entry; at once, unless a folder has to be entered for it. */
  next(): MaybePromise<Visit | undefined> {
    for (let frame = this.#frames.at(-1); frame !== undefined; frame = this.#frames.at(-1)) {
      const entry = frame.folder.entries[frame.index];
      if (entry === undefined) {
        this.#frames.pop();
        continue;
      }
      frame.index += 1;
      const visit = { kind: "entry", volume: frame.volume, path: [...frame.path, entry.name], entry } as const;
      return frame.index <= frame.folder.directoryCount ? this.#visitFolder(frame, visit) : visit;
    }
    return this.#place.kind === "top" ? this.#visitNextVolume() : undefined;
  }

  async #visitFolder(frame: Frame, visit: EntryVisit): Promise<Visit> {
    this.#prefetch(frame);
    const folderError = await this.#enter(frame, visit.entry);
    return folderError === undefined ? visit : { ...visit, folderError };
  }

  async #visitNextVolume(): Promise<Visit | undefined> {
    const volume = this.#volumes[this.#volumeIndex];
    if (volume === undefined) return undefined;
    this.#volumeIndex += 1;
    const path = [volume.name];
    if (!volume.readable) return { kind: "volume", volume, path };
    const error = await this.#enterVolume(volume);
    if (error === undefined) return { kind: "volume", volume, path };
    const { code, message } = error;
    return { kind: "volume", volume: { readable: false, name: volume.name, summary: volume.summary, error: { code, detail: message } }, path };
  }

  /** Starts reading the folders that come after the one about to be entered, so that they are at hand then. */
  #prefetch(frame: Frame): void {
    if (this.#foldersAhead === 0) return;
    const end = Math.min(frame.index + this.#foldersAhead, frame.folder.directoryCount);
    for (let index = Math.max(frame.index, frame.prefetchedUntil); index < end; index += 1) {
      const entry = frame.folder.entries[index];
      if (entry === undefined || entry.error !== undefined) continue;
      const path = [...frame.path, entry.name];
      const { volume } = frame;
      const prefetched = statOne(volume.fileSystem, entry.node, "").then((attributes) =>
        attributes.type === "directory" ? this.#readFolder(volume, path, entry.node, attributes.id) : undefined,
      );
      // Whatever fails here fails again, and is reported, when the folder's turn comes.
      prefetched.catch(() => undefined);
    }
    frame.prefetchedUntil = Math.max(frame.prefetchedUntil, end);
  }

  async #enterVolume(volume: ReadableVolume): Promise<DiskError | undefined> {
    try {
      const { root } = volume.fileSystem;
      const attributes = await statOne(volume.fileSystem, root, `the root folder of ${volume.name}`);
      this.#frames.push(await this.#readFolder(volume, [volume.name], root, attributes.id));
      return undefined;
    } catch (error) {
      return asDiskError(error, `volume ${volume.name}`);
    }
  }

  /** Goes into a folder; returns why that is not possible. */
  async #enter(frame: Frame, entry: DirectoryEntry<unknown>): Promise<DiskError | undefined> {
    const path = [...frame.path, entry.name];
    const reading = `folder ${formatGuestPath(path)}`;
    try {
      if (entry.error !== undefined && entry.node === undefined) throw entry.error;
      const attributes = await statOne(frame.volume.fileSystem, entry.node, reading);
      // The folder above calls it a folder, the inode doesn't: it is shown as what the inode says.
      if (attributes.type !== "directory") return undefined;
      if (attributes.contentError !== undefined) throw attributes.contentError;
      if (this.#frames.some((above) => above.id === attributes.id) || this.#isAbove(attributes.id)) {
        throw new DiskError("corrupt", `${reading}: it is its own ancestor`);
      }
      if (this.#frames.length >= maxFolderDepth) {
        throw new DiskError("unsupported", `${reading}: more than ${maxFolderDepth} folders inside each other`);
      }
      this.#frames.push(await this.#readFolder(frame.volume, path, entry.node, attributes.id));
      return undefined;
    } catch (error) {
      return asDiskError(error, reading);
    }
  }

  #isAbove(id: number | string): boolean {
    return this.#place.kind === "node" && this.#place.ancestorIds.includes(id);
  }

  async #readFolder(volume: ReadableVolume, path: readonly ByteString[], node: unknown, id: number | string): Promise<Frame> {
    const folder = await this.#folders.read(folderKey(volume, id), volume.fileSystem, node, `folder ${formatGuestPath(path)}`);
    return { volume, folder, path, id, index: 0, prefetchedUntil: 0 };
  }
}

export function asDiskError(error: unknown, reading: string): DiskError {
  const { code, detail } = toNodeError(toReaderError(error, reading), reading);
  return new DiskError(code, detail, { cause: error });
}
