import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import type { ByteString } from "../byte-string.ts";
import type { Attributes, Details, FileExtent, FileSystem, FileSystemFacts, Timestamp } from "../filesystem.ts";
import { FIRST_CLUSTER, type BootSector } from "./boot-sector.ts";
import { ClusterChain } from "./cluster-chain.ts";
import { DirectoryParser, type FatEntry } from "./directory-parser.ts";
import { DirectoryReader } from "./directory-reader.ts";
import { damagedNode, describe, rootNode, type FatNode } from "./directory-record.ts";
import { fatSeconds } from "./fat-time.ts";
import type { FatTable } from "./fat-table.ts";

/** Clusters of a file followed beyond what must be, so that small clusters don't cost a call each. */
const EXTENT_AHEAD_CLUSTERS = 65_536;
/** Extents given at a time: a caller streams them, more would only cost memory. */
const MAX_EXTENTS = 1024;
/** Directories whose size is being found at the same time during one `stat`. */
const STAT_CONCURRENCY = 32;

const MODE_DIRECTORY = 0o040755;
const MODE_FILE = 0o100755;
const MODE_READ_ONLY_FILE = 0o100555;

/** FAT as Linux's vfat mounts it by default: owner root, modes 0755 and 0555, times taken as UTC. */
export class FatFileSystem implements FileSystem<FatNode> {
  readonly facts: FileSystemFacts;
  readonly root: FatNode = rootNode;
  readonly #source: BlockSource;
  readonly #boot: BootSector;
  readonly #table: FatTable;
  /** As long as somebody holds the node: a chain is followed once per open file. */
  readonly #chains = new WeakMap<FatNode, ClusterChain>();
  readonly #directories: DirectoryReader;

  constructor(source: BlockSource, boot: BootSector, table: FatTable, facts: FileSystemFacts) {
    this.#source = source;
    this.#boot = boot;
    this.#table = table;
    this.facts = facts;
    this.#directories = new DirectoryReader(source, boot, table);
  }

  async *readDirectory(directory: FatNode): AsyncGenerator<readonly FatEntry[]> {
    const parser = new DirectoryParser(this.#boot.fatBits);
    for await (const piece of this.#directories.pieces(directory)) {
      if ("error" in piece) {
        parser.reset();
        yield [damagedEntry(piece.index, piece.error)];
        continue;
      }
      const entries = parser.parse(piece.bytes, piece.offset);
      if (entries.length > 0) yield entries;
    }
  }

  /**
   * Exactly first; then, as vfat does, without regard to ASCII case and trailing dots, by long or short name. Throws
   * the error of a damaged directory rather than say that a name isn't there.
   */
  async lookup(directory: FatNode, name: ByteString): Promise<FatEntry | undefined> {
    const folded = foldName(name);
    let similar: FatEntry | undefined;
    let damage: DiskError | undefined;
    for await (const entries of this.readDirectory(directory)) {
      for (const entry of entries) {
        if (entry.name === name) return entry;
        damage ??= entry.node.damage;
        if (similar === undefined && (isSimilar(entry.name, folded) || isSimilar(entry.shortName, folded))) similar = entry;
      }
    }
    if (similar === undefined && damage !== undefined) throw damage;
    return similar;
  }

  async stat(nodes: readonly FatNode[]): Promise<(Attributes | DiskError)[]> {
    const results = nodes.map((node) => node.damage ?? (node.isDirectory ? undefined : this.#fileAttributes(node)));
    // A directory's record holds neither its size nor its link count: both are counted as Linux does.
    const directories = nodes.flatMap((node, index) => (node.isDirectory ? [index] : []));
    for (let start = 0; start < directories.length; start += STAT_CONCURRENCY) {
      const some = directories.slice(start, start + STAT_CONCURRENCY);
      const found = await Promise.all(some.map((index) => this.#directoryAttributes(nodes[index]!)));
      some.forEach((index, position) => (results[index] = found[position]!));
    }
    return results as (Attributes | DiskError)[];
  }

  async details(node: FatNode): Promise<Details> {
    if (node.damage !== undefined) throw node.damage;
    return {
      accessedAt: node.accessDate === 0 ? undefined : timestamp(fatSeconds(node.accessDate, 0), 0, 0),
      changedAt: undefined,
      createdAt: creationTime(node),
      xattrs: new Map(),
    };
  }

  async readLink(): Promise<ByteString> {
    throw new DiskError("unsupported", "FAT has no symbolic links");
  }

  extents(node: FatNode, offset: number, length: number): MaybePromise<FileExtent[]> {
    if (node.damage !== undefined) throw node.damage;
    const wanted = Math.min(length, node.size - offset);
    const firstIndex = Math.floor(offset / this.#boot.clusterBytes);
    const endIndex = Math.ceil((offset + wanted) / this.#boot.clusterBytes);
    const chain = this.#chain(node);
    const pending = chain.follow(Math.min(endIndex, firstIndex + EXTENT_AHEAD_CLUSTERS));
    if (pending instanceof Promise) return pending.then(() => this.#toExtents(node, chain, offset, wanted, firstIndex));
    return this.#toExtents(node, chain, offset, wanted, firstIndex);
  }

  #toExtents(node: FatNode, chain: ClusterChain, offset: number, wanted: number, firstIndex: number): FileExtent[] {
    const { clusterBytes, dataOffsetBytes } = this.#boot;
    let position = chain.runIndex(firstIndex);
    if (position < 0) throw chain.end?.error ?? this.#tooShort(node, chain);
    const extents: FileExtent[] = [];
    const end = offset + wanted;
    for (let at = offset; at < end && position < chain.runs.length && extents.length < MAX_EXTENTS; position += 1) {
      const run = chain.runs[position]!;
      const within = at - run.index * clusterBytes;
      const sourceOffset = dataOffsetBytes + (run.cluster - FIRST_CLUSTER) * clusterBytes + within;
      const inRun = Math.min(run.count * clusterBytes - within, end - at);
      const length = Math.min(inRun, this.#source.sizeBytes - sourceOffset);
      if (length > 0) extents.push({ kind: "data", offset: at, length, source: this.#source, sourceOffset });
      if (length < inRun) {
        // The volume says it is larger than what holds it: a cut-off image or partition.
        if (extents.length === 0) throw corrupt(describe(node), sourceOffset, `its data leaves the volume's ${this.#source.sizeBytes} bytes`);
        break;
      }
      at += length;
    }
    return extents;
  }

  #tooShort(node: FatNode, chain: ClusterChain): DiskError {
    const found = `its chain holds ${chain.length} clusters, ${Math.ceil(node.size / this.#boot.clusterBytes)} are needed for ${node.size} bytes`;
    return corrupt(describe(node), undefined, found);
  }

  #chain(node: FatNode): ClusterChain {
    let chain = this.#chains.get(node);
    if (chain === undefined) {
      chain = new ClusterChain(this.#table, node.firstCluster, describe(node));
      this.#chains.set(node, chain);
    }
    return chain;
  }

  #fileAttributes(node: FatNode): Attributes {
    const mode = node.isReadOnly ? MODE_READ_ONLY_FILE : MODE_FILE;
    const hasData = node.size === 0 || this.#table.isCluster(node.firstCluster);
    const attributes = this.#attributes(node, "file", node.size, mode, 1);
    if (hasData) return attributes;
    const found = `${node.size} bytes from cluster ${node.firstCluster}, the clusters are 2 to ${this.#table.endCluster - 1}`;
    return { ...attributes, contentError: corrupt(describe(node), undefined, found) };
  }

  /** What can't be counted because it is damaged leaves the rest as it is; a failed read may be tried again. */
  async #directoryAttributes(node: FatNode): Promise<Attributes | DiskError> {
    try {
      const { sizeBytes, linkCount, contentError } = await this.#directories.count(node);
      const attributes = this.#attributes(node, "directory", sizeBytes, MODE_DIRECTORY, linkCount);
      return contentError === undefined ? attributes : { ...attributes, contentError };
    } catch (error) {
      return toDiskError(error);
    }
  }

  #attributes(node: FatNode, type: "file" | "directory", size: number, mode: number, linkCount: number): Attributes {
    return {
      type,
      id: node.id,
      size,
      mode,
      uid: 0,
      gid: 0,
      linkCount,
      deviceMajor: 0,
      deviceMinor: 0,
      mtimeSeconds: node.modifiedSeconds,
      mtimeNanoseconds: 0,
      mtimeDigits: 0,
    };
  }
}

function damagedEntry(index: number, error: DiskError): FatEntry {
  const name = `#damaged-directory-cluster-${index}`;
  return { name, shortName: name, node: damagedNode(error), type: undefined, error };
}

/** Two seconds, refined by up to 199 hundredths. */
function creationTime(node: FatNode): Timestamp | undefined {
  const date = Math.floor(node.creationDateTime / 65_536);
  if (date === 0) return undefined;
  const seconds = fatSeconds(date, node.creationDateTime % 65_536) + Math.floor(node.creationHundredths / 100);
  return timestamp(seconds, (node.creationHundredths % 100) * 10_000_000, 2);
}

function timestamp(seconds: number, nanoseconds: number, digits: number): Timestamp {
  return { seconds, nanoseconds, digits };
}

const trailingDots = /\.+$/;

/** Without building a folded copy of every name of a long directory. */
function isSimilar(name: ByteString, folded: ByteString): boolean {
  if (name.length < folded.length) return false;
  for (let index = 0; index < folded.length; index += 1) {
    if (foldUnit(name.charCodeAt(index)) !== folded.charCodeAt(index)) return false;
  }
  return name.length === folded.length || trailingDots.exec(name)?.index === folded.length;
}

function foldName(name: ByteString): ByteString {
  return name.replace(trailingDots, "").replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function foldUnit(unit: number): number {
  return unit >= 0x41 && unit <= 0x5a ? unit + 0x20 : unit;
}
