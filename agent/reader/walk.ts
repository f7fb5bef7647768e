import { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, DirectoryEntry, FileSystem } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { readContent } from "./content.ts";
import type { NodeError, PathRequest, WalkEntry, WalkItem } from "./disk-reader.ts";
import type { FolderCache } from "./folder.ts";
import { statEntries } from "./listing.ts";
import { modifiedAt, ownXattrs, statMany } from "./node.ts";
import type { OpenVolume } from "./open-volume.ts";
import type { ReadBudget } from "./read-budget.ts";
import { toNodeError } from "./reader-error.ts";
import { type NodePlace, resolvePath } from "./resolve.ts";
import { readSmallFile, smallFileBytes } from "./small-file.ts";
import { findDataRanges } from "./sparse.ts";
import { Traversal, type Visit } from "./traversal.ts";

/** Entries described together: one request for their attributes. */
const batchEntries = 64;
/** Batches begun before their turn. */
const batchesAhead = 4;
/** Contents of small files held before their turn. */
const maxAheadBytes = 8 * 1024 * 1024;
/** Folders read before their turn. */
const foldersAhead = 4;
/** Names of one file that are remembered; beyond it a further name is given as a file of its own, which is true as well. */
const maxRememberedLinks = 500_000;

interface WalkContext {
  readonly volumes: readonly OpenVolume[];
  readonly folders: FolderCache;
  readonly budget: ReadBudget;
}

/** What to give for one entry: itself, then its bytes. */
interface Prepared {
  readonly entry: WalkEntry;
  /** All its bytes, for a small file. */
  readonly bytes?: Uint8Array;
  /** Where to read the bytes of a large one. */
  readonly content?: LargeContent;
}

interface LargeContent {
  readonly fileSystem: FileSystem;
  readonly node: unknown;
  readonly path: string;
}

interface Batch {
  readonly prepared: Promise<Prepared[]>;
  readonly bytesAhead: number;
}

/**
 * The items of DiskReader.walk, in groups as they become ready. While one group is taken, the next
 * are being read: folders, attributes, and the contents of small files, within fixed bounds.
 */
export async function* walkFolder(context: WalkContext, request: PathRequest, signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
  const place = await resolvePath(context.volumes, request, true);
  if (place.kind === "unreadable") throw new PluckError(place.volume.error.code, place.volume.error.detail);
  if (place.kind === "node" && place.attributes.type !== "directory") {
    throw new PluckError("not_a_directory", `${formatGuestPath(place.path)} is not a folder.`);
  }
  const depth = place.kind === "top" ? 0 : place.path.length;
  const traversal = new Traversal(context.volumes, context.folders, place, foldersAhead);
  await traversal.start();
  yield [await describeTop(place)];
  const links = new HardLinks();
  const ahead: Batch[] = [];
  let bytesAhead = 0;
  let more = true;
  for (;;) {
    while (more && ahead.length < batchesAhead && (ahead.length === 0 || bytesAhead < maxAheadBytes)) {
      signal.throwIfAborted();
      const visits = await takeVisits(traversal);
      more = visits.length === batchEntries;
      if (visits.length === 0) break;
      const batch = await beginBatch(visits, depth, links);
      bytesAhead += batch.bytesAhead;
      ahead.push(batch);
    }
    const batch = ahead.shift();
    if (batch === undefined) return;
    const prepared = await batch.prepared;
    bytesAhead -= batch.bytesAhead;
    yield* give(prepared, links, context.budget, signal);
  }
}

async function takeVisits(traversal: Traversal): Promise<Visit[]> {
  const visits: Visit[] = [];
  while (visits.length < batchEntries) {
    const next = traversal.next();
    const visit = next instanceof Promise ? await next : next;
    if (visit === undefined) break;
    visits.push(visit);
  }
  return visits;
}

/** Groups small items; a large file's bytes go one chunk a group. */
async function* give(prepared: readonly Prepared[], links: HardLinks, budget: ReadBudget, signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
  let group: WalkItem[] = [];
  for (const { entry, bytes, content } of prepared) {
    if (content === undefined) {
      group.push(links.checked(entry));
      if (bytes !== undefined && bytes.length > 0) group.push({ kind: "data", bytes });
      continue;
    }
    if (group.length > 0) yield group;
    group = [];
    for await (const items of giveLarge(entry, content, budget, signal)) {
      const [first] = items;
      if (first?.kind === "entry") links.checked(first);
      yield items;
    }
  }
  if (group.length > 0) yield group;
}

async function* giveLarge(entry: WalkEntry, content: LargeContent, budget: ReadBudget, signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
  const ranges = entry.dataRanges ?? [{ offset: 0, length: entry.dataLength }];
  let given = false;
  for (const { offset, length } of ranges) {
    const chunks = readContent({ ...content, offset, length }, budget, signal);
    try {
      for (;;) {
        let next: IteratorResult<Uint8Array, void>;
        try {
          next = await chunks.next();
        } catch (error) {
          // Before its first byte the file can still be given as one that can't be read.
          if (given || signal.aborted) throw error;
          yield [unreadable(entry, toNodeError(error, `file ${content.path}`))];
          return;
        }
        if (next.done === true) break;
        const data = { kind: "data", bytes: next.value } as const;
        yield given ? [data] : [entry, data];
        given = true;
      }
    } finally {
      await chunks.return();
    }
  }
  if (!given) yield [entry];
}

function unreadable(entry: WalkEntry, error: NodeError): WalkEntry {
  const { dataRanges: _, ...rest } = entry;
  return { ...rest, dataLength: 0, error };
}

async function describeTop(place: { readonly kind: "top" } | NodePlace): Promise<WalkEntry> {
  if (place.kind === "top") return { ...noAttributes([], "directory"), mode: 0o40555 };
  const { fileSystem } = place.volume;
  return describe([], place.attributes, await readXattrs(fileSystem, place.node, place.entryError));
}

/** Reads attributes first: they tell how much is read ahead, and which names are further hard links. */
async function beginBatch(visits: readonly Visit[], depth: number, links: HardLinks): Promise<Batch> {
  const found = await statVisits(visits);
  let bytesAhead = 0;
  const pending = visits.map((visit, index) => {
    const attributes = found[index] ?? new DiskError("corrupt", "no attributes");
    const path = visit.path.slice(depth);
    if (attributes instanceof DiskError) {
      const type = visit.kind === "volume" ? "directory" : (visit.entry.type ?? "other");
      return { entry: { ...noAttributes(path, type), error: toNodeError(attributes, "entry") } };
    }
    const target = visit.kind === "volume" || visit.entry.error !== undefined ? undefined : links.targetOf(visit.volume.name, attributes, path);
    if (target !== undefined) return { entry: { ...describe(path, attributes, { xattrs: [] }), hardLinkOf: target } };
    if (attributes.type === "file" && attributes.size <= smallFileBytes) bytesAhead += Number(attributes.size);
    return prepare(visit, path, attributes);
  });
  const prepared = Promise.all(pending);
  // Taken in its turn; until then a failure is nobody's.
  prepared.catch(() => undefined);
  return { prepared, bytesAhead };
}

async function statVisits(visits: readonly Visit[]): Promise<(Attributes | DiskError)[]> {
  const found: (Attributes | DiskError)[] = [];
  for (let start = 0; start < visits.length; ) {
    const first = visits[start];
    if (first === undefined) break;
    if (first.kind === "volume") {
      const { volume } = first;
      if (volume.readable) found.push(...(await statMany(volume.fileSystem, [volume.fileSystem.root])));
      else found.push(new DiskError(volume.error.code, volume.error.detail));
      start += 1;
      continue;
    }
    const entries: DirectoryEntry<unknown>[] = [];
    for (let visit: Visit | undefined = first; visit?.kind === "entry" && visit.volume === first.volume; visit = visits[start]) {
      entries.push(visit.entry);
      start += 1;
    }
    found.push(...(await statEntries(entries, first.volume.fileSystem)));
  }
  return found;
}

async function prepare(visit: Visit, path: readonly ByteString[], attributes: Attributes): Promise<Prepared> {
  if (visit.kind === "volume") {
    const { volume } = visit;
    if (!volume.readable) return { entry: { ...noAttributes(path, "directory"), error: volume.error } };
    return { entry: describe(path, attributes, await readXattrs(volume.fileSystem, volume.fileSystem.root, undefined)) };
  }
  const { fileSystem } = visit.volume;
  const { node } = visit.entry;
  const shown = formatGuestPath(visit.path);
  const problem = visit.entry.error ?? visit.folderError ?? attributes.contentError;
  const entry = describe(path, attributes, await readXattrs(fileSystem, node, problem));
  if (entry.error !== undefined) return { entry };
  try {
    if (attributes.type === "symlink") return { entry: { ...entry, symlinkTarget: await fileSystem.readLink(node) } };
    if (attributes.type !== "file" || attributes.size === 0) return { entry };
    if (typeof attributes.size === "bigint") {
      throw new PluckError("unsupported", `${shown}: its size ${attributes.size} is beyond ${Number.MAX_SAFE_INTEGER}`);
    }
    if (attributes.size <= smallFileBytes) {
      const bytes = await readSmallFile(fileSystem, node, attributes.size);
      return { entry: { ...entry, dataLength: bytes.length }, bytes };
    }
    const content = { fileSystem, node, path: shown };
    const dataRanges = await findDataRanges(fileSystem, node, attributes.size);
    if (dataRanges === undefined) return { entry: { ...entry, dataLength: attributes.size }, content };
    const dataLength = dataRanges.reduce((sum, range) => sum + range.length, 0);
    return { entry: { ...entry, dataLength, dataRanges }, content };
  } catch (error) {
    return { entry: unreadable(entry, toNodeError(error, shown)) };
  }
}

type Extra = Pick<WalkEntry, "xattrs" | "error" | "xattrError">;

async function readXattrs(fileSystem: FileSystem, node: unknown, problem: DiskError | undefined): Promise<Extra> {
  const error = problem === undefined ? {} : { error: toNodeError(problem, "entry") };
  try {
    const details = await fileSystem.details(node);
    const xattrs = details.xattrs.size === 0 ? noXattrs : ownXattrs(details);
    if (details.xattrError === undefined) return { xattrs, ...error };
    return { xattrs, ...error, xattrError: toNodeError(details.xattrError, "extended attributes") };
  } catch (cause) {
    return { xattrs: noXattrs, ...error, xattrError: toNodeError(cause, "extended attributes") };
  }
}

const noXattrs: WalkEntry["xattrs"] = [];

function describe(path: readonly ByteString[], attributes: Attributes, extra: Extra): WalkEntry {
  return {
    kind: "entry",
    path,
    type: attributes.type,
    size: attributes.size,
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    modifiedAt: modifiedAt(attributes),
    deviceMajor: attributes.deviceMajor,
    deviceMinor: attributes.deviceMinor,
    xattrs: extra.xattrs,
    dataLength: 0,
    ...(extra.error === undefined ? {} : { error: extra.error }),
    ...(extra.xattrError === undefined ? {} : { xattrError: extra.xattrError }),
  };
}

function noAttributes(path: readonly ByteString[], type: WalkEntry["type"]): WalkEntry {
  const modified = { seconds: 0, nanoseconds: 0, digits: 0 };
  return { kind: "entry", path, type, size: 0, mode: 0, uid: 0, gid: 0, modifiedAt: modified, deviceMajor: 0, deviceMinor: 0, xattrs: noXattrs, dataLength: 0 };
}

/** The first name of each file that has several. */
class HardLinks {
  readonly #first = new Map<string, { readonly path: readonly ByteString[]; left: number }>();
  /** Why files could not be given, by their first name. */
  readonly #failed = new Map<string, NodeError>();

  /** The path already given for this file; undefined when this is its first. */
  targetOf(volume: ByteString, attributes: Attributes, path: readonly ByteString[]): readonly ByteString[] | undefined {
    if (attributes.type !== "file" || attributes.linkCount < 2 || attributes.contentError !== undefined) return undefined;
    const key = `${volume}\0${typeof attributes.id}${attributes.id}`;
    const known = this.#first.get(key);
    if (known === undefined) {
      if (this.#first.size < maxRememberedLinks) this.#first.set(key, { path, left: attributes.linkCount - 1 });
      return undefined;
    }
    known.left -= 1;
    if (known.left === 0) this.#first.delete(key);
    return known.path;
  }

  /** The entry; a further name of a file that could not be given can't be read either. */
  checked(entry: WalkEntry): WalkEntry {
    if (entry.hardLinkOf !== undefined) {
      const error = this.#failed.get(entry.hardLinkOf.join("/"));
      if (error === undefined) return entry;
      const { hardLinkOf: _, ...rest } = entry;
      return { ...rest, error };
    }
    if (entry.error !== undefined && entry.type === "file" && this.#failed.size < maxRememberedLinks) this.#failed.set(entry.path.join("/"), entry.error);
    return entry;
  }
}
