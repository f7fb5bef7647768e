import type { ByteString } from "../../filesystems/byte-string.ts";

/** How one name of the guest becomes one name in the archive: never empty, ".", ".." or with a separator in it. */
export type NameRule = (name: ByteString) => ByteString;

/** tar: bytes stay bytes; only what would lead out of the folder it is unpacked in is escaped. */
export function tarName(name: ByteString): ByteString {
  return escapeDots(name.replace(/[\x00/]/g, percent));
}

/**
 * zip: readable UTF-8 everywhere. What is not UTF-8 keeps its exact form with %XX; separators of any
 * system, control characters and a leading drive letter are escaped.
 */
export function zipName(name: ByteString): ByteString {
  const readable = isUtf8(name) ? name : name.replace(/[^\x20-\x7e]/g, percent);
  return escapeDots(readable.replace(/[\x00-\x1f/\\\x7f]/g, percent).replace(/^([A-Za-z]):/, "$1%3A"));
}

/** C1 controls and the like are left to whoever unpacks: they are text, and harmless as a path. */
function escapeDots(name: ByteString): ByteString {
  if (name === "") return "%00";
  return name === "." || name === ".." ? name.replaceAll(".", "%2E") : name;
}

function isUtf8(name: ByteString): boolean {
  if (!/[^\x00-\x7f]/.test(name)) return true;
  const bytes = Buffer.from(name, "latin1");
  return Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes);
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

interface OpenFolder {
  /** Its name on the disk; undefined for the archive's own top. */
  readonly sourceName: ByteString | undefined;
  /** Its path in the archive with a slash at the end; "" for the top. */
  readonly prefix: ByteString;
  /** Names given out in it, and the number that the next of the same name gets. */
  readonly taken: Map<ByteString, number>;
}

/**
 * Gives every entry of a walk its path in the archive: safe, and unique even where a damaged folder
 * holds one name twice, since unpacking would silently keep the last of them. Holds the names of the
 * folders that are open, not of the whole walk, so memory stays flat.
 */
export class EntryNames {
  readonly #rule: NameRule;
  readonly #open: OpenFolder[];
  /** How many folders stand above the walk's entries. */
  readonly #base: number;
  /** Where an entry's path differs from the plain rule: hard links must find their target. */
  readonly #renamed = new Map<string, ByteString>();

  /** Entries may come without the folders above them, as of a selection; all of one folder come together. */
  readonly #hasGaps: boolean;

  /** @param rootName the walked folder's own name; undefined when its entries stand at the archive's top */
  constructor(rule: NameRule, rootName: ByteString | undefined, hasGaps = false) {
    this.#rule = rule;
    this.#hasGaps = hasGaps;
    const top: OpenFolder = { sourceName: undefined, prefix: "", taken: new Map() };
    this.#open = [top];
    if (rootName !== undefined) this.#open.push({ sourceName: rootName, prefix: `${this.#claim(top, rootName)}/`, taken: new Map() });
    this.#base = this.#open.length;
  }

  /** The walked folder's own path; "" when it has none. */
  get root(): ByteString {
    return (this.#open[this.#base - 1]?.prefix ?? "").slice(0, -1);
  }

  /** A path for the next entry of the walk (depth first, each folder before what is in it). */
  name(path: readonly ByteString[], isFolder: boolean): ByteString {
    const name = path.at(-1);
    if (name === undefined) return this.root;
    if (this.#hasGaps) this.#openParents(path);
    return this.#enter(this.#parentOf(path), path, name, isFolder);
  }

  #enter(parent: OpenFolder, path: readonly ByteString[], name: ByteString, isFolder: boolean): ByteString {
    const claimed = this.#claim(parent, name);
    const full = parent.prefix + claimed;
    if (claimed !== this.#rule(name)) this.#renamed.set(path.join("/"), claimed);
    if (isFolder) this.#open.push({ sourceName: name, prefix: `${full}/`, taken: new Map() });
    return full;
  }

  /** Leaves the folders that the path is not in, and enters those above it that did not come themselves. */
  #openParents(path: readonly ByteString[]): void {
    let depth = 0;
    while (depth < path.length - 1 && this.#open[this.#base + depth]?.sourceName === path[depth]) depth++;
    this.#open.length = this.#base + depth;
    for (; depth < path.length - 1; depth++) {
      const parent = this.#open.at(-1);
      if (parent !== undefined) this.#enter(parent, path.slice(0, depth + 1), path[depth] ?? "", true);
    }
  }

  /** The path that an entry given before has, for hard links. */
  nameOf(path: readonly ByteString[]): ByteString {
    const parts = path.map((name, index) => this.#renamed.get(path.slice(0, index + 1).join("/")) ?? this.#rule(name));
    return (this.#open[this.#base - 1]?.prefix ?? "") + parts.join("/");
  }

  /** A name at the archive's top, for a file of our own. */
  ownName(name: string): ByteString {
    const top = this.#open[0];
    return top === undefined ? name : this.#claim(top, name);
  }

  #parentOf(path: readonly ByteString[]): OpenFolder {
    this.#open.length = Math.min(this.#open.length, this.#base + path.length - 1);
    const parent = this.#open.at(-1);
    const depth = this.#open.length - this.#base;
    if (parent === undefined || depth !== path.length - 1 || (depth > 0 && parent.sourceName !== path.at(-2))) {
      throw new Error(`walk out of order: entry ${JSON.stringify(path.join("/"))} before its folder`);
    }
    return parent;
  }

  #claim(folder: OpenFolder, sourceName: ByteString): ByteString {
    const wanted = this.#rule(sourceName);
    let candidate = wanted;
    // Ends: each turn takes a number that was never tried in this folder for this name.
    for (let next = folder.taken.get(wanted) ?? 0; folder.taken.has(candidate); next++) {
      candidate = `${wanted}~${next + 2}`;
      folder.taken.set(wanted, next + 1);
    }
    folder.taken.set(candidate, 0);
    return candidate;
  }
}
