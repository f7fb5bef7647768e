import type { MaybePromise } from "../blocks/block-source.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import { formatName } from "../../shared/guest-path.ts";
import type { SelectedNode, WalkItem } from "./disk-reader.ts";
import type { OpenVolume } from "./open-volume.ts";
import { toNodeError } from "./reader-error.ts";
import { resolvePath, type NodePlace } from "./resolve.ts";
import { asDiskError, Traversal, type Visit } from "./traversal.ts";
import { foldersAhead, walkVisits, type Visits, type WalkContext } from "./walk.ts";

/** See DiskReader.select. */
export async function selectNodes(volumes: readonly OpenVolume[], items: readonly (readonly string[])[]): Promise<SelectedNode[]> {
  const found: SelectedNode[] = [];
  for (const segments of items) found.push(await selectNode(volumes, segments));
  return withoutOverlaps(volumes, found);
}

async function selectNode(volumes: readonly OpenVolume[], segments: readonly string[]): Promise<SelectedNode> {
  const place = await resolvePath(volumes, { segments, withinDepth: segments.length }, false);
  if (place.kind === "top") return { path: [], type: "directory" };
  if (place.kind === "unreadable") return { path: [place.volume.name], type: "directory", error: place.volume.error };
  const { path, attributes, entryError } = place;
  const problem = entryError ?? attributes.contentError;
  return { path, type: attributes.type, ...(problem === undefined ? {} : { error: toNodeError(problem, "entry") }) };
}

/** In the order of their names, so that what lies in one folder comes together, right behind that folder itself. */
function withoutOverlaps(volumes: readonly OpenVolume[], found: readonly SelectedNode[]): SelectedNode[] {
  const isGuest = (name: ByteString | undefined): boolean => volumes.some((volume) => volume.name === name && volume.guest !== undefined);
  const kept: SelectedNode[] = [];
  let top: SelectedNode | undefined;
  for (const node of found.toSorted((a, b) => comparePaths(a.path, b.path))) {
    if (node.path.length === 0) {
      if (top === undefined) kept.push(node);
      top = node;
      continue;
    }
    // "/" holds each volume, but not the guests' own trees, which show them once more.
    if (top !== undefined && !isGuest(node.path[0])) continue;
    const last = kept.at(-1);
    if (last !== undefined && last.path.length > 0 && startsWith(node.path, last.path)) continue;
    kept.push(node);
  }
  return kept;
}

function startsWith(path: readonly ByteString[], prefix: readonly ByteString[]): boolean {
  return path.length >= prefix.length && prefix.every((name, index) => path[index] === name);
}

/** Name by name: a path sorts right before those below it, whatever characters other names begin with. */
function comparePaths(a: readonly ByteString[], b: readonly ByteString[]): number {
  for (let index = 0; index < a.length && index < b.length; index += 1) {
    const [left = "", right = ""] = [a[index], b[index]];
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.length - b.length;
}

/** See DiskReader.walkSelection. */
export async function* walkSelection(context: WalkContext, paths: readonly (readonly ByteString[])[], signal: AbortSignal): AsyncGenerator<WalkItem[], void, void> {
  yield* walkVisits(new SelectionVisits(context, paths), 0, context, signal);
}

/** One selected entry after the other, and below each folder all that it holds. */
class SelectionVisits implements Visits {
  readonly #context: WalkContext;
  readonly #paths: Iterator<readonly ByteString[]>;
  #traversal: Traversal | undefined;

  constructor(context: WalkContext, paths: readonly (readonly ByteString[])[]) {
    this.#context = context;
    this.#paths = paths[Symbol.iterator]();
  }

  next(): MaybePromise<Visit | undefined> {
    const visit = this.#traversal?.next();
    if (visit instanceof Promise) return visit.then((below) => below ?? this.#nextPath());
    return visit ?? this.#nextPath();
  }

  async #nextPath(): Promise<Visit | undefined> {
    this.#traversal = undefined;
    for (let path = this.#paths.next(); path.done !== true; path = this.#paths.next()) {
      const place = await resolvePath(this.#context.volumes, { segments: path.value.map(formatName), withinDepth: path.value.length }, false);
      if (place.kind === "unreadable") return { kind: "volume", volume: place.volume, path: [place.volume.name] };
      if (place.kind === "node") return await this.#visit(place);
      // "/" itself is no entry.
      const top = await this.#enter(place);
      const visit = await top.next();
      this.#traversal = top;
      if (visit !== undefined) return visit;
    }
    return undefined;
  }

  async #visit(place: NodePlace): Promise<Visit> {
    const { volume, path, node, attributes, entryError } = place;
    const name = path.at(-1) ?? "";
    const entry = { name, node, type: attributes.type, ...(entryError === undefined ? {} : { error: entryError }) };
    if (attributes.type !== "directory") return { kind: "entry", volume, path, entry };
    try {
      if (entryError !== undefined) throw entryError;
      if (attributes.contentError !== undefined) throw attributes.contentError;
      this.#traversal = await this.#enter(place);
    } catch (error) {
      const folderError = asDiskError(error, `folder ${name}`);
      if (path.length > 1) return { kind: "entry", volume, path, entry, folderError };
      return { kind: "volume", volume: { readable: false, name: volume.name, summary: volume.summary, error: { code: folderError.code, detail: folderError.message } }, path };
    }
    return path.length > 1 ? { kind: "entry", volume, path, entry } : { kind: "volume", volume, path };
  }

  async #enter(place: NodePlace | { readonly kind: "top" }): Promise<Traversal> {
    const traversal = new Traversal(this.#context.volumes, this.#context.folders, place, foldersAhead);
    await traversal.start();
    return traversal;
  }
}
