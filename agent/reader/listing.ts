import { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, DirectoryEntry } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { findPosition, formatCursor, parseCursor, positionOf } from "./cursor.ts";
import type { JsonPage, ListedNode, ListPage, ListRequest } from "./disk-reader.ts";
import { EntryEncoder } from "./entry-encoder.ts";
import { type Folder, type FolderCache, folderKey } from "./folder.ts";
import type { MadePage } from "./pages-ahead.ts";
import { statMany, toListedNode, volumeNode } from "./node.ts";
import type { OpenVolume, ReadableVolume } from "./open-volume.ts";
import { toNodeError } from "./reader-error.ts";
import { type NodePlace, resolvePath } from "./resolve.ts";
import { Traversal, type Visit } from "./traversal.ts";

/** Symlink targets read at the same time. */
const linksInFlight = 32;

/** What a page holds before its attributes are read. */
export interface PlannedEntry {
  readonly volume: ReadableVolume;
  readonly path: readonly ByteString[];
  readonly entry: DirectoryEntry<unknown>;
  /** Why the folder behind it can't be read. */
  readonly folderError?: DiskError;
}

export async function listFolder(volumes: readonly OpenVolume[], folders: FolderCache, request: ListRequest): Promise<ListPage> {
  const found = await findPage(volumes, folders, request);
  if (!("entries" in found)) return found;
  const { place, entries, next } = found;
  const planned = entries.map((entry) => ({ volume: place.volume, path: [...place.path, entry.name], entry }));
  return { path: place.path, nodes: await describeEntries(planned), ...next };
}

/** The same with its entries written as JSON. */
export async function listFolderAsJson(volumes: readonly OpenVolume[], folders: FolderCache, request: ListRequest): Promise<MadePage> {
  const found = await findPage(volumes, folders, request);
  if (!("entries" in found)) return { ...toJsonPage(found), isSound: false };
  const { place, entries, next } = found;
  const attributes = await statEntries(entries, place.volume.fileSystem);
  // Plain loops: this runs for 10,000 entries at a time, before the compiler has seen it.
  const odd: number[] = [];
  for (let index = 0; index < entries.length; index += 1) {
    if (!isPlain(entries[index], attributes[index])) odd.push(index);
  }
  const oddEntries = odd.flatMap((index) => entries[index] ?? []);
  const nodes = await describeFound(
    oddEntries.map((entry) => ({ volume: place.volume, path: [...place.path, entry.name], entry })),
    odd.map((index) => attributes[index] ?? noAttributes),
  );
  const encoder = new EntryEncoder(place.path, entries.length);
  let nextOdd = 0;
  for (let index = 0; index < entries.length; index += 1) {
    const [entry, its] = [entries[index], attributes[index]];
    if (index === odd[nextOdd]) {
      const node = nodes[nextOdd++];
      if (node !== undefined) encoder.addNode(node);
    } else if (entry !== undefined && its !== undefined && !(its instanceof DiskError)) encoder.addPlain(entry.name, its);
  }
  return { path: place.path, entries: encoder.finish(), ...next, isSound: nodes.every((node) => node.error?.code !== "io_error") };
}

/** Nothing to show but its name and attributes. */
function isPlain(entry: DirectoryEntry<unknown> | undefined, its: Attributes | DiskError | undefined): boolean {
  return entry?.error === undefined && its !== undefined && !(its instanceof DiskError) && its.contentError === undefined && its.type !== "symlink";
}

export function toJsonPage({ path, nodes, next }: ListPage): JsonPage {
  const encoder = new EntryEncoder(path, nodes.length);
  for (const node of nodes) encoder.addNode(node);
  return { path, entries: encoder.finish(), ...(next === undefined ? {} : { next }) };
}

/** The entries of one folder's page before their attributes are read; a page of anything else is whole already. */
interface FoundPage {
  readonly place: NodePlace;
  readonly entries: readonly DirectoryEntry<unknown>[];
  readonly next: { readonly next?: string };
}

async function findPage(volumes: readonly OpenVolume[], folders: FolderCache, request: ListRequest): Promise<FoundPage | ListPage> {
  const place = await resolvePath(volumes, request, true);
  if (place.kind === "unreadable") throw new PluckError(place.volume.error.code, place.volume.error.detail);
  if (request.recursive) return listRecursively(volumes, folders, place, request);
  if (place.kind === "top") return listVolumes(volumes, request);
  const folder = await openFolder(folders, place);
  let start = 0;
  if (request.cursor !== undefined) {
    const [position] = parseCursor(request.cursor);
    if (position === undefined) throw new PluckError("invalid_request", "The cursor is empty.");
    const { index, exact } = findPosition(folder, position);
    start = exact ? index + 1 : index;
  }
  const end = Math.min(start + request.limit, folder.entries.length);
  const isLast = end >= folder.entries.length || end === start;
  return { place, entries: folder.entries.slice(start, end), next: isLast ? {} : { next: formatCursor([positionOf(folder, end - 1)]) } };
}

/** @throws PluckError not_a_directory, or what is wrong with the folder */
export async function openFolder(folders: FolderCache, place: NodePlace): Promise<Folder> {
  const path = formatGuestPath(place.path);
  if (place.attributes.type !== "directory") throw new PluckError("not_a_directory", `${path} is not a folder.`);
  return folders.read(folderKey(place.volume, place.attributes.id), place.volume.fileSystem, place.node, `folder ${path}`);
}

/** "/" has few entries, so it comes in pages only when asked for tiny ones. */
async function listVolumes(volumes: readonly OpenVolume[], request: ListRequest): Promise<ListPage> {
  let start = 0;
  if (request.cursor !== undefined) {
    const [position] = parseCursor(request.cursor);
    start = volumes.findIndex((volume) => volume.name === position?.name) + 1;
    if (start === 0) throw new PluckError("invalid_request", "The cursor names a volume that this disk doesn't have.");
  }
  const end = Math.min(start + request.limit, volumes.length);
  const nodes = await Promise.all(volumes.slice(start, end).map(volumeNode));
  const last = volumes[end - 1];
  if (end >= volumes.length || last === undefined) return { path: [], nodes };
  return { path: [], nodes, next: formatCursor([{ directory: true, name: last.name, ordinal: 0 }]) };
}

async function listRecursively(
  volumes: readonly OpenVolume[],
  folders: FolderCache,
  place: { readonly kind: "top" } | NodePlace,
  request: ListRequest,
): Promise<ListPage> {
  const traversal = new Traversal(volumes, folders, place);
  if (request.cursor !== undefined) await traversal.seek(parseCursor(request.cursor));
  else await traversal.start();
  const path = place.kind === "top" ? [] : place.path;
  const visits: Visit[] = [];
  while (visits.length < request.limit) {
    const visit = await traversal.next();
    if (visit === undefined) return { path, nodes: await describeVisits(visits) };
    visits.push(visit);
  }
  // Taken before the look ahead: a cursor points at the last entry given.
  const next = formatCursor(traversal.positions());
  const nodes = await describeVisits(visits);
  return (await traversal.next()) === undefined ? { path, nodes } : { path, nodes, next };
}

async function describeVisits(visits: readonly Visit[]): Promise<ListedNode[]> {
  const nodes = new Array<ListedNode>(visits.length);
  const byVolume = new Map<ReadableVolume, { index: number; planned: PlannedEntry }[]>();
  for (const [index, visit] of visits.entries()) {
    if (visit.kind === "volume") {
      nodes[index] = await volumeNode(visit.volume);
      continue;
    }
    const planned = byVolume.get(visit.volume);
    if (planned === undefined) byVolume.set(visit.volume, [{ index, planned: visit }]);
    else planned.push({ index, planned: visit });
  }
  for (const group of byVolume.values()) {
    const described = await describeEntries(group.map(({ planned }) => planned));
    for (const [position, { index }] of group.entries()) {
      const node = described[position];
      if (node !== undefined) nodes[index] = node;
    }
  }
  return nodes;
}

/** Attributes and link targets of entries of one volume, in order. */
async function describeEntries(planned: readonly PlannedEntry[]): Promise<ListedNode[]> {
  const [first] = planned;
  if (first === undefined) return [];
  return describeFound(planned, await statEntries(planned.map(({ entry }) => entry), first.volume.fileSystem));
}

/** @param found attributes of each, in order */
async function describeFound(planned: readonly PlannedEntry[], found: readonly (Attributes | DiskError)[]): Promise<ListedNode[]> {
  const nodes = planned.map(({ path, entry, folderError }, index) =>
    toListedNode(path, found[index] ?? noAttributes, entry.type ?? "other", entry.error ?? folderError),
  );
  const links = nodes.flatMap((node, index) => (node.type === "symlink" && node.mode !== undefined ? [index] : []));
  let next = 0;
  const readTargets = async () => {
    for (let link = links[next++]; link !== undefined; link = links[next++]) {
      const node = nodes[link];
      const from = planned[link];
      if (node === undefined || from === undefined) continue;
      const { volume, entry } = from;
      try {
        nodes[link] = { ...node, symlinkTarget: await volume.fileSystem.readLink(entry.node) };
      } catch (error) {
        nodes[link] = { ...node, error: node.error ?? toNodeError(error, "symlink target") };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(linksInFlight, links.length) }, readTargets));
  return nodes;
}

const noAttributes = new DiskError("corrupt", "no attributes");

/** Attributes of entries; one that stands for something unreadable has no node to ask. */
export async function statEntries(
  entries: readonly DirectoryEntry<unknown>[],
  fileSystem: ReadableVolume["fileSystem"],
): Promise<(Attributes | DiskError)[]> {
  if (!entries.some((entry) => entry.error !== undefined)) return statMany(fileSystem, entries.map((entry) => entry.node));
  const sound = entries.filter((entry) => entry.error === undefined);
  const found = await statMany(fileSystem, sound.map((entry) => entry.node));
  let next = 0;
  const all: (Attributes | DiskError)[] = [];
  for (const entry of entries) {
    if (entry.error === undefined) all.push(found[next++] ?? noAttributes);
    else if (entry.node === undefined) all.push(entry.error);
    else {
      const [one] = await statMany(fileSystem, [entry.node]);
      all.push(one ?? entry.error);
    }
  }
  return all;
}
