import type { MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, toDiskError } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { gather } from "../gather.ts";
import { NodeCache } from "../node-cache.ts";
import { graver, type LogicalSpace } from "./logical-space.ts";
import { assertExpected, parseNode, type NodeFormat, type NodePointer, type TreeNode } from "./node.ts";

const cacheBytes = 16 * 1024 * 1024;

/** Tree nodes by logical address, checked, the other copies tried where one is bad. */
export class NodeReader {
  readonly format: NodeFormat;
  readonly #space: LogicalSpace;
  readonly #nodes: NodeCache<TreeNode>;

  constructor(space: LogicalSpace, format: NodeFormat) {
    this.#space = space;
    this.format = format;
    this.#nodes = new NodeCache(Math.floor(cacheBytes / format.nodeBytes));
  }

  /** At once when the node is cached here or its bytes are below. */
  get(pointer: NodePointer): MaybePromise<TreeNode> {
    const node = this.#nodes.get(pointer.logical);
    if (node !== undefined) {
      assertExpected(node, pointer);
      return node;
    }
    let first: MaybePromise<Uint8Array>;
    let copy = 0;
    try {
      copy = this.#space.bestCopy(pointer.logical, this.format.nodeBytes);
      first = this.#space.readCopy(pointer.logical, this.format.nodeBytes, copy);
      if (!(first instanceof Promise)) return this.#accept(first, pointer);
    } catch (error) {
      return this.#readOthers(pointer, copy, error);
    }
    return first.then((bytes) => this.#accept(bytes, pointer)).catch((error: unknown) => this.#readOthers(pointer, copy, error));
  }

  /** Many nodes with few requests; where one can't be read, its DiskError stands in its place. */
  async getMany(pointers: readonly NodePointer[]): Promise<(TreeNode | DiskError)[]> {
    const results = new Array<TreeNode | DiskError | undefined>(pointers.length);
    const bySource = new Map<unknown, { source: Parameters<typeof gather>[0]; pieces: { offset: number; length: number; index: number }[] }>();
    pointers.forEach((pointer, index) => {
      try {
        const node = this.#nodes.get(pointer.logical);
        if (node !== undefined) {
          assertExpected(node, pointer);
          results[index] = node;
          return;
        }
        const place = this.#space.locate(pointer.logical, this.format.nodeBytes);
        if (place === undefined) return;
        let group = bySource.get(place.source);
        if (group === undefined) bySource.set(place.source, (group = { source: place.source, pieces: [] }));
        group.pieces.push({ offset: place.offset, length: this.format.nodeBytes, index });
      } catch (error) {
        results[index] = toDiskError(error);
      }
    });
    for (const { source, pieces } of bySource.values()) {
      const read = await gather(source, pieces);
      read.forEach((bytes, position) => {
        const { index } = pieces[position]!;
        if (bytes instanceof DiskError) return;
        try {
          results[index] = this.#accept(bytes, pointers[index]!);
        } catch (error) {
          if (!(error instanceof DiskError)) throw error;
          // The other copies are tried below.
        }
      });
    }
    for (const [index, pointer] of pointers.entries()) {
      if (results[index] !== undefined) continue;
      try {
        const node = this.get(pointer);
        results[index] = node instanceof Promise ? await node : node;
      } catch (error) {
        results[index] = toDiskError(error);
      }
    }
    return results as (TreeNode | DiskError)[];
  }

  #accept(bytes: Uint8Array, pointer: NodePointer): TreeNode {
    // A copy: what was read may be a view of a larger cached block.
    const node = parseNode(this.format, Buffer.from(asBuffer(bytes)), pointer.logical);
    assertExpected(node, pointer);
    this.#nodes.set(pointer.logical, node);
    return node;
  }

  async #readOthers(pointer: NodePointer, triedCopy: number, firstError: unknown): Promise<TreeNode> {
    if (!(firstError instanceof DiskError)) throw firstError;
    let worst: DiskError = firstError;
    try {
      if (this.#space.chunks.copyCount(pointer.logical) > 1) {
        return await this.#space.readAny(pointer.logical, this.format.nodeBytes, (bytes) => this.#accept(bytes, pointer), undefined, triedCopy);
      }
    } catch (error) {
      worst = graver(worst, error);
    }
    throw worst;
  }
}
