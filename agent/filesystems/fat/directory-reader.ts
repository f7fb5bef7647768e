import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, toDiskError, type DiskError } from "../../blocks/disk-error.ts";
import { FIRST_CLUSTER, type BootSector } from "./boot-sector.ts";
import { ClusterChain } from "./cluster-chain.ts";
import { DirectoryParser } from "./directory-parser.ts";
import { describe, rootNode, type FatNode } from "./directory-record.ts";
import type { FatTable } from "./fat-table.ts";

/** Directory contents read at a time; a batch of entries each. */
const PIECE_BYTES = 128 * 1024;
/** Clusters of a directory followed before its first piece is given. */
const AHEAD_CLUSTERS = 1024;
/** Systems write directories of up to 65,536 records, 2 MiB; hostile chains may go on for the whole volume. */
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
/** Directories whose size and link count are remembered; they cost a read of the whole directory. */
const MAX_COUNTED = 4096;
/** No directory but the root may do without a first cluster. */
const ROOT_KEY = -1;

/** Records of a directory and where they lie on the volume, or why those from cluster `index` on can't be read. */
export type DirectoryPiece =
  | { readonly bytes: Uint8Array; readonly offset: number }
  | { readonly index: number; readonly error: DiskError };

export interface DirectoryCounts {
  readonly sizeBytes: number;
  readonly linkCount: number;
  /** Why Linux would not let anybody in. */
  readonly contentError: DiskError | undefined;
}

/** Reads the records of directories, whole clusters at a time. */
export class DirectoryReader {
  readonly #source: BlockSource;
  readonly #boot: BootSector;
  readonly #table: FatTable;
  /** By first cluster. */
  readonly #counted = new Map<number, DirectoryCounts>();

  constructor(source: BlockSource, boot: BootSector, table: FatTable) {
    this.#source = source;
    this.#boot = boot;
    this.#table = table;
  }

  /** Goes on behind what can't be read where it can; throws when there is nothing to be read. */
  async *pieces(directory: FatNode): AsyncGenerator<DirectoryPiece> {
    const { clusterBytes, rootOffsetBytes, rootBytes, rootCluster } = this.#boot;
    if (directory === rootNode && rootCluster === 0) {
      yield { bytes: await this.#source.read(rootOffsetBytes, rootBytes), offset: rootOffsetBytes };
      return;
    }
    const firstCluster = directory === rootNode ? rootCluster : directory.firstCluster;
    if (directory !== rootNode && (firstCluster === 0 || firstCluster === rootCluster)) {
      throw corrupt(describe(directory), undefined, `starts at cluster ${firstCluster}, which is the root's or none`);
    }
    const chain = new ClusterChain(this.#table, firstCluster, describe(directory));
    if (chain.length === 0 && chain.end?.error !== undefined) throw chain.end.error;
    const maxClusters = Math.ceil(MAX_DIRECTORY_BYTES / clusterBytes);
    const pieceClusters = Math.max(1, Math.floor(PIECE_BYTES / clusterBytes));
    for (let index = 0; ; ) {
      try {
        await chain.follow(Math.min(maxClusters, index + AHEAD_CLUSTERS));
      } catch (error) {
        // The table can't be read: what was followed so far still leads to records.
        if (chain.length <= index) return yield { index, error: toDiskError(error) };
      }
      const run = chain.runs[chain.runIndex(index)];
      if (run === undefined) return yield* this.#atEnd(directory, chain);
      const within = index - run.index;
      const count = Math.min(pieceClusters, run.count - within);
      yield* this.#readClusters(run.cluster + within, count, index);
      index += count;
    }
  }

  *#atEnd(directory: FatNode, chain: ClusterChain): Generator<DirectoryPiece> {
    if (chain.end === undefined) {
      yield { index: chain.length, error: corrupt(describe(directory), undefined, `longer than ${MAX_DIRECTORY_BYTES} bytes`) };
    } else if (chain.end.error !== undefined) {
      yield { index: chain.length, error: chain.end.error };
    }
  }

  /** In one read; where that fails, one by one, so that a bad sector costs one cluster. */
  async *#readClusters(cluster: number, count: number, index: number): AsyncGenerator<DirectoryPiece> {
    const { clusterBytes, dataOffsetBytes } = this.#boot;
    const offset = dataOffsetBytes + (cluster - FIRST_CLUSTER) * clusterBytes;
    try {
      yield { bytes: await this.#source.read(offset, count * clusterBytes), offset };
      return;
    } catch (error) {
      if (count === 1) return yield { index, error: toDiskError(error) };
    }
    for (let one = 0; one < count; one += 1) yield* this.#readClusters(cluster + one, 1, index + one);
  }

  /** A directory's size and link count as Linux counts them. Throws "io_error" when not all could be read. */
  async count(node: FatNode): Promise<DirectoryCounts> {
    const key = node === rootNode ? ROOT_KEY : node.firstCluster;
    const known = this.#counted.get(key);
    if (known !== undefined) return known;
    const counts = await this.#count(node);
    // Simplest bound: a listing's directories are asked for together, then rarely again.
    if (this.#counted.size >= MAX_COUNTED) this.#counted.clear();
    this.#counted.set(key, counts);
    return counts;
  }

  async #count(node: FatNode): Promise<DirectoryCounts> {
    const parser = new DirectoryParser(this.#boot.fatBits);
    let sizeBytes = 0;
    let contentError: DiskError | undefined;
    try {
      for await (const piece of this.pieces(node)) {
        if ("error" in piece) {
          if (piece.error.code === "io_error") throw piece.error;
          continue;
        }
        parser.parse(piece.bytes, piece.offset);
        sizeBytes += piece.bytes.length;
      }
    } catch (error) {
      contentError = toDiskError(error);
      if (contentError.code === "io_error") throw contentError;
    }
    const { directoryCount } = parser;
    if (node === rootNode) return { sizeBytes, linkCount: directoryCount + 2, contentError };
    if (directoryCount < 2) contentError ??= corrupt(describe(node), undefined, "holds no entries . and ..");
    return { sizeBytes, linkCount: directoryCount, contentError };
  }
}
