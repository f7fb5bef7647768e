import type { MaybePromise } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import type { Attributes, DirectoryEntry } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { readContent } from "./content.ts";
import type { PathRequest, WalkEntry, WalkItem } from "./disk-reader.ts";
import type { FolderCache } from "./folder.ts";
import { HardLinks } from "./hard-links.ts";
import { statEntries } from "./listing.ts";
import { statMany } from "./node.ts";
import type { OpenVolume } from "./open-volume.ts";
import type { ReadBudget } from "./read-budget.ts";
import { toNodeError } from "./reader-error.ts";
import { resolvePath } from "./resolve.ts";
import { smallFileBytes } from "./small-file.ts";
import { Traversal, type Visit } from "./traversal.ts";
import { describe, describeTop, type LargeContent, noAttributes, noXattrs, type Prepared, prepareEntry, unreadable } from "./walk-entry.ts";

/** Entries described together: one request for their attributes. */
const batchEntries = 64;
/** Batches begun before their turn. */
const batchesAhead = 4;
/** Contents of small files held before their turn. */
const maxAheadBytes = 8 * 1024 * 1024;
/** Folders read before their turn. */
export const foldersAhead = 4;

export interface WalkContext {
  readonly volumes: readonly OpenVolume[];
  readonly folders: FolderCache;
  readonly budget: ReadBudget;
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
  yield* walkVisits(traversal, depth, context, signal);
}

/** What a walk goes through; in the order of its visits. */
export interface Visits {
  /** The next entry; undefined after the last. */
  next(): MaybePromise<Visit | undefined>;
}

/** The items of all visits, in groups. @param depth how many names of each path are left away */
export async function* walkVisits(traversal: Visits, depth: number, context: WalkContext, signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
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

async function takeVisits(traversal: Visits): Promise<Visit[]> {
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
    if (target !== undefined) return { entry: { ...describe(path, attributes, { xattrs: noXattrs }), hardLinkOf: target } };
    if (attributes.type === "file" && attributes.size <= smallFileBytes) bytesAhead += Number(attributes.size);
    return prepareEntry(visit, path, attributes);
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
      else found.push(new DiskError(volume.error.code === "volume_locked" ? "unsupported" : volume.error.code, volume.error.detail));
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
