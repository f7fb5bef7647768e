import type { ByteString } from "../filesystems/byte-string.ts";
import type { NodeType, Timestamp } from "../filesystems/filesystem.ts";

/**
 * Entries as they cross between threads: their numbers in one array, which is moved, their names in
 * lists, each folder's path once. Cloning 10,000 entries as objects costs about eight times as much
 * as packing, moving and unpacking them.
 */
export interface PackedNodes<Rest> {
  /** `columns` numbers an entry. */
  readonly numbers: Float64Array;
  /** The paths of the folders that the entries lie in. */
  readonly folders: readonly (readonly ByteString[])[];
  readonly names: readonly ByteString[];
  /** What only some entries have, by index. */
  readonly rest: readonly (readonly [number, Rest])[];
}

/** What every kind of entry has; an entry without attributes goes into `rest` as it is. */
export interface Attributed {
  readonly path: readonly ByteString[];
  readonly type: NodeType;
  readonly size: number | bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedAt: Timestamp;
}

const nodeTypes: readonly NodeType[] = ["file", "directory", "symlink", "other"];
/** Folder index + 1 (0: a path of no names), type, size, mode, uid, gid, seconds, nanoseconds, digits, and three more for the caller. */
const columns = 12;

/** The three numbers that a kind of entry adds, and what of it is rare. */
export interface Packing<Node extends Attributed, Rest> {
  readonly extra: (node: Node) => readonly [number, number, number];
  /** Undefined for the common entry, which has nothing else. A size beyond the numbers must be among it. */
  readonly rest: (node: Node) => Rest | undefined;
  readonly restore: (base: Attributed, extra: readonly [number, number, number], rest: Rest | undefined) => Node;
}

export function packNodes<Node extends Attributed, Rest>(nodes: readonly Node[], packing: Packing<Node, Rest>): PackedNodes<Rest> {
  const numbers = new Float64Array(nodes.length * columns);
  const folders: (readonly ByteString[])[] = [];
  const names = new Array<ByteString>(nodes.length);
  const rest: [number, Rest][] = [];
  for (let index = 0, at = 0; index < nodes.length; index += 1, at += columns) {
    const node = nodes[index] as Node;
    const { path, modifiedAt, size } = node;
    const depth = path.length - 1;
    names[index] = path[depth] ?? "";
    if (depth >= 0) {
      const last = folders.at(-1);
      // Entries of one folder come one after another; a folder that comes back is written again.
      if (last === undefined || !isParent(last, path)) folders.push(path.slice(0, depth));
      numbers[at] = folders.length;
    }
    numbers[at + 1] = nodeTypes.indexOf(node.type);
    numbers[at + 2] = Number(size);
    numbers[at + 3] = node.mode;
    numbers[at + 4] = node.uid;
    numbers[at + 5] = node.gid;
    numbers[at + 6] = modifiedAt.seconds;
    numbers[at + 7] = modifiedAt.nanoseconds;
    numbers[at + 8] = modifiedAt.digits;
    const [first, second, third] = packing.extra(node);
    numbers[at + 9] = first;
    numbers[at + 10] = second;
    numbers[at + 11] = third;
    const more = packing.rest(node);
    if (more !== undefined) rest.push([index, more]);
  }
  return { numbers, folders, names, rest };
}

export function unpackNodes<Node extends Attributed, Rest>(packed: PackedNodes<Rest>, packing: Packing<Node, Rest>): Node[] {
  const { numbers, folders, names } = packed;
  const rest = new Map(packed.rest);
  const number = (at: number) => numbers[at] as number;
  return names.map((name, index) => {
    const at = index * columns;
    const folder = number(at);
    const base: Attributed = {
      path: folder === 0 ? [] : [...(folders[folder - 1] ?? []), name],
      type: nodeTypes[number(at + 1)] ?? "other",
      size: number(at + 2),
      mode: number(at + 3),
      uid: number(at + 4),
      gid: number(at + 5),
      modifiedAt: { seconds: number(at + 6), nanoseconds: number(at + 7), digits: number(at + 8) },
    };
    return packing.restore(base, [number(at + 9), number(at + 10), number(at + 11)], rest.get(index));
  });
}

function isParent(folder: readonly ByteString[], path: readonly ByteString[]): boolean {
  if (folder.length !== path.length - 1) return false;
  // The names nearest to the entry differ the soonest.
  for (let index = folder.length - 1; index >= 0; index -= 1) if (folder[index] !== path[index]) return false;
  return true;
}
