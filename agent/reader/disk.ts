import { createHash } from "node:crypto";
import type { BlockSource } from "../blocks/block-source.ts";
import { cached } from "../blocks/cached.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import { scanVolumes, type ScanOptions } from "../volumes/scan.ts";
import type { Volume } from "../volumes/volume.ts";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath, formatName } from "../../shared/guest-path.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import { type ContentRange, contentStream, readContent } from "./content.ts";
import type { DiskReader, JsonPage, ListPage, ListRequest, NodeError, NodeInfo, PathRequest, ResolvedNode, SelectedNode, UnlockRequest, WalkItem } from "./disk-reader.ts";
import { EncryptedVolumes, type LockedVolume } from "./encrypted-volumes.ts";
import { FolderCache } from "./folder.ts";
import { openGuestVolumes } from "./guest-volumes.ts";
import { listFolder, listFolderAsJson } from "./listing.ts";
import { type MadePage, PagesAhead } from "./pages-ahead.ts";
import { modifiedAt, ownXattrs, toListedNode, volumeNode } from "./node.ts";
import { openFileSystem } from "./open-file-system.ts";
import { type OpenVolume, openVolume } from "./open-volume.ts";
import { findRawVolume, rawContents } from "./raw-volume.ts";
import { ReadBudget } from "./read-budget.ts";
import { toNodeError, toReaderError } from "./reader-error.ts";
import { findVolume, type NodePlace, resolvePath } from "./resolve.ts";
import { selectNodes, walkSelection } from "./selection.ts";
import { type WalkContext, walkFolder } from "./walk.ts";

/** Metadata of the disk kept in memory. */
const cacheBytes = 32 * 1024 * 1024;
/** The other disks of the backup share as much again. */
const minSiblingCacheBytes = 2 * 1024 * 1024;


/** Another disk of the same backup. */
export interface SiblingDisk {
  /** For messages. */
  readonly name: string;
  /** Changes when its contents change. */
  readonly diskId: string;
  /** Undefined where it could not be opened. */
  readonly source: BlockSource | undefined;
}

export interface OpenDiskOptions {
  /** Changes when the disk's contents change: part of every ETag. */
  readonly diskId: string;
  /** Finds the volumes; by default every table and volume manager there is. */
  readonly scan?: (source: BlockSource, options: ScanOptions) => Promise<readonly Volume[]>;
  /** Opens the filesystem of a volume; by default the registered ones. */
  readonly open?: (source: BlockSource) => Promise<FileSystem>;
  /** Opens the other disks of the backup; called when a volume has parts that this one lacks, and once. */
  readonly siblings?: () => Promise<readonly SiblingDisk[]>;
  /** Volumes that are not opened, by name, and why. */
  readonly skip?: ReadonlyMap<string, NodeError>;
  /** Called before each volume is opened, and has them opened one by one. */
  readonly onOpening?: (volume: string) => void;
}

/** A disk reader whose walk also comes in groups, as it crosses to another thread. */
export interface OpenDisk extends DiskReader {
  walkGroups(request: PathRequest, signal: AbortSignal): AsyncGenerator<WalkItem[], void, void>;
  walkSelectionGroups(paths: readonly (readonly ByteString[])[], signal: AbortSignal): AsyncGenerator<WalkItem[], void, void>;
  readChunks(request: PathRequest & { readonly offset: number; readonly length: number }, signal: AbortSignal, pool?: ChunkPool): AsyncGenerator<Uint8Array, void, void>;
  close(): Promise<void>;
}

/**
 * Opens a disk: finds its volumes and opens their filesystems, each on its own, so that one that
 * can't be read takes nothing from the others. Doesn't own the source.
 *
 * @throws PluckError only when the volumes can't be looked for at all (io_error on the first bytes)
 */
export async function openDisk(source: BlockSource, options: OpenDiskOptions): Promise<OpenDisk> {
  const disk = cached(source, { capacityBytes: cacheBytes });
  const encrypted = new EncryptedVolumes();
  let others: Promise<readonly SiblingDisk[]> | undefined;
  let { diskId } = options;
  const siblings = async (): Promise<readonly SiblingDisk[]> => {
    others ??= openSiblings(options.siblings);
    const opened = await others;
    diskId = [options.diskId, ...opened.map((other) => other.diskId)].join();
    return opened;
  };
  const find = async (): Promise<readonly Volume[]> => {
    try {
      return await (options.scan ?? scanVolumes)(disk, { unlock: encrypted.find, ...(options.siblings === undefined ? {} : { siblings }) });
    } catch (error) {
      throw toReaderError(error, "volumes of the disk");
    }
  };
  const found = await find();
  const open = options.open ?? openFileSystem;
  const openOne = (volume: Volume, index: number) => openVolume(volume, index, open, options.skip?.get(volume.name));
  let volumes: OpenVolume[] = [];
  if (options.onOpening === undefined) volumes = await Promise.all(found.map(openOne));
  else {
    for (const [index, volume] of found.entries()) {
      options.onOpening(volume.name);
      volumes.push(await openOne(volume, index));
    }
  }
  const unlock = async (known: readonly OpenVolume[], { volume: name, secret }: UnlockRequest): Promise<readonly OpenVolume[]> => {
    const elsewhere = encrypted.findElsewhere(name);
    if (elsewhere === null) return known;
    const locked = elsewhere ?? lockedVolume(known, name);
    await encrypted.unlock(locked, secret);
    // The parts of a group, an array or a filesystem on several disks mostly have one key.
    const found = await encrypted.trying(secret, find);
    return await Promise.all(found.map(async (volume, index) => stillOpen(known, volume) ?? (await openOne(volume, index))));
  };
  return new LocalDisk(source.sizeBytes, volumes, () => diskId, unlock);
}

async function openSiblings(open: OpenDiskOptions["siblings"]): Promise<readonly SiblingDisk[]> {
  const opened = (await open?.()) ?? [];
  const capacityBytes = Math.max(minSiblingCacheBytes, Math.floor(cacheBytes / Math.max(1, opened.length)));
  return opened.map((other) => (other.source === undefined ? other : { ...other, source: cached(other.source, { capacityBytes }) }));
}

function lockedVolume(known: readonly OpenVolume[], name: string): LockedVolume {
  const volume = known.find((one) => one.summary.name === name);
  if (volume === undefined) throw new PluckError("path_not_found", `The disk has no volume ${name}.`);
  if (volume.readable) throw new PluckError("invalid_request", `${name} is not encrypted.`);
  if (volume.locked === undefined) throw new PluckError(volume.error.code, `${name} is no volume that a key opens: ${volume.error.detail}`);
  return volume.locked;
}

/** A volume that was open before an encrypted one was unlocked stays as it is, unless more devices of its filesystem turned up. */
function stillOpen(known: readonly OpenVolume[], volume: Volume): OpenVolume | undefined {
  return known.find((one) => {
    const { readable, summary } = one;
    if (!readable || summary.name !== volume.name || summary.kind !== volume.kind || one.deviceCount !== volume.spanning?.deviceCount) return false;
    return volume.spanning !== undefined || summary.size_bytes === volume.sizeBytes;
  });
}

/** Unlocks a volume, and looks for volumes anew. */
type Unlock = (known: readonly OpenVolume[], request: UnlockRequest) => Promise<readonly OpenVolume[]>;

class LocalDisk implements OpenDisk {
  readonly sizeBytes: number;
  volumes: readonly VolumeSummary[];
  #open: readonly OpenVolume[];
  readonly #unlock: Unlock;
  readonly #unlocked = new Set<string>();
  #unlocking: Promise<unknown> = Promise.resolve();
  readonly #diskId: () => string;
  /** The guests' own trees, put together when first asked for, of these volumes. */
  #guests: { readonly of: readonly OpenVolume[]; readonly volumes: Promise<readonly OpenVolume[]> } | undefined;
  readonly #folders = new FolderCache();
  readonly #pages = new PagesAhead((request) => this.#listJson(request));
  readonly #budget = new ReadBudget();
  readonly #closed = new AbortController();

  constructor(sizeBytes: number, open: readonly OpenVolume[], diskId: () => string, unlock: Unlock) {
    this.sizeBytes = sizeBytes;
    this.#open = open;
    this.#unlock = unlock;
    this.#diskId = diskId;
    this.volumes = open.map((volume) => volume.summary);
  }

  /** One at a time: each may cost a gigabyte. */
  async unlock(request: UnlockRequest): Promise<void> {
    const before = this.#unlocking;
    const run = async (): Promise<void> => {
      await before.catch(() => undefined);
      // What was unlocked may hold an encrypted volume of the same name.
      const isLocked = this.#open.some((one) => one.summary.name === request.volume && !one.readable && one.locked !== undefined);
      if (!isLocked && this.#unlocked.has(request.volume)) return;
      this.#open = await this.#unlock(this.#open, request);
      this.#pages.clear();
      this.#unlocked.add(request.volume);
      this.volumes = this.#open.map((volume) => volume.summary);
    };
    const done = this.#reading("unlocking", run);
    this.#unlocking = done;
    await done;
  }

  async list(request: ListRequest): Promise<ListPage> {
    return this.#reading("listing", async () => listFolder(await this.#volumesFor(request), this.#folders, request));
  }

  async listJson(request: ListRequest): Promise<JsonPage> {
    this.#closed.signal.throwIfAborted();
    const { isSound: _, ...page } = (await this.#pages.take(request)) ?? (await this.#listJson(request));
    // A recursive listing would have to find its place anew, which costs as much as the page.
    if (!request.recursive) this.#pages.prepare(request, page);
    return page;
  }

  async #listJson(request: ListRequest): Promise<MadePage> {
    return this.#reading("listing", async () => listFolderAsJson(await this.#volumesFor(request), this.#folders, request));
  }

  async info(request: PathRequest): Promise<NodeInfo> {
    return this.#reading("details", async () => {
      const place = await resolvePath(await this.#volumesFor(request), request, false);
      if (place.kind === "top") return { path: [], type: "directory", mode: 0o40555, xattrs: [] };
      if (place.kind === "unreadable") return { ...(await volumeNode(place.volume)), xattrs: [] };
      return describeNode(place);
    });
  }

  async resolve(request: PathRequest): Promise<ResolvedNode> {
    return this.#reading("resolving", async () => {
      if (request.raw === true) return this.#resolveRaw(request);
      const place = await resolvePath(await this.#volumesFor(request), request, true);
      if (place.kind === "unreadable") throw new PluckError(place.volume.error.code, place.volume.error.detail);
      if (place.kind === "top") return { path: [], type: "directory", size: 0, etag: this.#etag([]) };
      const { attributes, path, volume, node } = place;
      const base = { path, modifiedAt: modifiedAt(attributes) };
      if (attributes.type === "directory") return { ...base, type: "directory", size: 0, etag: this.#etag(identity(place)) };
      const size = assertReadable(place);
      const details = await volume.fileSystem.details(node);
      return { ...base, type: "file", size, etag: this.#etag([...identity(place), details.changedAt?.seconds, details.changedAt?.nanoseconds]) };
    });
  }

  read(request: PathRequest & { readonly offset: number; readonly length: number }): ReadableStream<Uint8Array> {
    return contentStream((signal) => this.readChunks(request, signal));
  }

  async *readChunks(request: PathRequest & { readonly offset: number; readonly length: number }, signal: AbortSignal, pool?: ChunkPool): AsyncGenerator<Uint8Array, void, void> {
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    ended.throwIfAborted();
    const { offset, length } = request;
    const { size, ...file } = await this.#reading("resolving", () => this.#contentsOf(request));
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || length > size - offset) {
      throw new PluckError("range_not_satisfiable", `Bytes ${offset} to ${offset + length} lie outside the file, which has ${size} bytes.`);
    }
    yield* readContent({ ...file, offset, length }, this.#budget, ended, pool);
  }

  async #contentsOf(request: PathRequest): Promise<Omit<ContentRange, "offset" | "length"> & { readonly size: number }> {
    if (request.raw === true) {
      const { volume, source } = findRawVolume(this.#open, request.segments);
      return { fileSystem: rawContents(source), node: undefined, path: formatGuestPath([volume.name]), size: source.sizeBytes };
    }
    const place = await resolvePath(await this.#volumesFor(request), request, true);
    if (place.kind === "unreadable") throw new PluckError(place.volume.error.code, place.volume.error.detail);
    if (place.kind === "top") throw new PluckError("not_a_file", "/ is a folder, not a file.");
    return { fileSystem: place.volume.fileSystem, node: place.node, path: formatGuestPath(place.path), size: assertReadable(place) };
  }

  #resolveRaw(request: PathRequest): ResolvedNode {
    const { volume, source } = findRawVolume(this.#open, request.segments);
    const start = volume.summary.partition?.start_bytes;
    return { path: [volume.name], type: "file", size: source.sizeBytes, etag: this.#etag(["raw", volume.name, volume.summary.kind, start, source.sizeBytes]) };
  }

  /** The disk's volumes; with the guests' own trees where the path, or one of several, may lead into one. */
  async #volumesFor({ segments: [first] }: Pick<PathRequest, "segments">, ...others: Pick<PathRequest, "segments">[]): Promise<readonly OpenVolume[]> {
    const open = this.#open;
    const isOfVolume = (name: string | undefined): boolean => name !== undefined && findVolume(open, name) !== undefined;
    if (isOfVolume(first) && others.every(({ segments }) => isOfVolume(segments[0]))) return open;
    if (this.#guests?.of !== open) this.#guests = { of: open, volumes: openGuestVolumes(open) };
    return [...open, ...(await this.#guests.volumes)];
  }

  walk(request: PathRequest): AsyncGenerator<WalkItem, void, void> {
    return itemsOf((signal) => this.walkGroups(request, signal));
  }

  async *walkGroups(request: PathRequest, signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
    yield* this.#walking(signal, async (ended) => walkFolder(this.#walkContext(await this.#volumesFor(request)), request, ended));
  }

  async select(items: readonly (readonly string[])[]): Promise<readonly SelectedNode[]> {
    return this.#reading("selecting", async () => selectNodes(await this.#volumesOf(items), items));
  }

  walkSelection(paths: readonly (readonly ByteString[])[]): AsyncGenerator<WalkItem, void, void> {
    return itemsOf((signal) => this.walkSelectionGroups(paths, signal));
  }

  async *walkSelectionGroups(paths: readonly (readonly ByteString[])[], signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
    yield* this.#walking(signal, async (ended) => walkSelection(this.#walkContext(await this.#volumesOf(paths.map((path) => path.map(formatName)))), paths, ended));
  }

  async #volumesOf(items: readonly (readonly string[])[]): Promise<readonly OpenVolume[]> {
    const [first, ...others] = items.map((segments) => ({ segments }));
    return await this.#volumesFor(first ?? { segments: [] }, ...others);
  }

  #walkContext(volumes: readonly OpenVolume[]): WalkContext {
    return { volumes, folders: this.#folders, budget: this.#budget };
  }

  async *#walking(signal: AbortSignal, walk: (ended: AbortSignal) => Promise<AsyncGenerator<WalkItem[], void, void>>): AsyncGenerator<WalkItem[], void, void> {
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    ended.throwIfAborted();
    try {
      yield* await walk(ended);
    } catch (error) {
      if (ended.aborted) throw ended.reason;
      throw toReaderError(error, "walk");
    }
  }

  async close(): Promise<void> {
    this.#closed.abort(new PluckError("mount_not_found", "The disk was closed."));
    this.#pages.clear();
  }

  async #reading<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.#closed.signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      throw toReaderError(error, what);
    }
  }

  #etag(parts: readonly (string | number | bigint | undefined)[]): string {
    return createHash("sha256").update([this.#diskId(), ...parts].join("\0")).digest("base64url").slice(0, 27);
  }
}

async function* itemsOf(walk: (signal: AbortSignal) => AsyncGenerator<WalkItem[], void, void>): AsyncGenerator<WalkItem, void, void> {
  const ended = new AbortController();
  try {
    for await (const group of walk(ended.signal)) yield* group;
  } finally {
    ended.abort();
  }
}

function identity({ volume, attributes }: NodePlace): (string | number | bigint | undefined)[] {
  const { id, size, mtimeSeconds, mtimeNanoseconds } = attributes;
  return [volume.name, volume.summary.uuid ?? "", id, size, mtimeSeconds, mtimeNanoseconds];
}

/** The size of a regular file whose contents can be read. */
function assertReadable({ attributes, path, entryError }: NodePlace): number {
  const shown = formatGuestPath(path);
  if (attributes.type !== "file") throw new PluckError("not_a_file", `${shown} is not a regular file.`);
  const problem = attributes.contentError ?? entryError;
  if (problem !== undefined) throw toReaderError(problem, `file ${shown}`);
  if (typeof attributes.size === "bigint") {
    throw new PluckError("unsupported", `${shown} has ${attributes.size} bytes; files beyond ${Number.MAX_SAFE_INTEGER} are not sent.`);
  }
  return attributes.size;
}

async function describeNode(place: NodePlace): Promise<NodeInfo> {
  const described = await describeEntry(place);
  const { guest, error } = place.volume;
  if (guest === undefined || place.path.length > 1) return described;
  return { ...described, guest, ...(described.error === undefined && error !== undefined ? { error } : {}) };
}

async function describeEntry(place: NodePlace): Promise<NodeInfo> {
  const { attributes, path, node, volume, entryError } = place;
  const { fileSystem } = volume;
  let listed = toListedNode(path, attributes, attributes.type, entryError);
  if (attributes.type === "symlink" && attributes.contentError === undefined) {
    try {
      listed = { ...listed, symlinkTarget: await fileSystem.readLink(node) };
    } catch (error) {
      listed = { ...listed, error: listed.error ?? toNodeError(error, "symlink target") };
    }
  }
  const isDevice = (attributes.mode & 0o170000) === 0o020000 || (attributes.mode & 0o170000) === 0o060000;
  const base = {
    ...listed,
    linkCount: attributes.linkCount,
    ...(isDevice ? { deviceMajor: attributes.deviceMajor, deviceMinor: attributes.deviceMinor } : {}),
  };
  try {
    const details = await fileSystem.details(node);
    const error = base.error ?? (details.xattrError === undefined ? undefined : toNodeError(details.xattrError, "extended attributes"));
    return {
      ...base,
      ...(details.accessedAt === undefined ? {} : { accessedAt: details.accessedAt }),
      ...(details.changedAt === undefined ? {} : { changedAt: details.changedAt }),
      ...(details.createdAt === undefined ? {} : { createdAt: details.createdAt }),
      xattrs: ownXattrs(details),
      ...(error === undefined ? {} : { error }),
    };
  } catch (error) {
    return { ...base, xattrs: [], error: base.error ?? toNodeError(error, `details of ${formatGuestPath(path)}`) };
  }
}
