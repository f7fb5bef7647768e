import type { MaybePromise } from "../../blocks/block-source.ts";
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import { decompressLater } from "./compression.ts";
import { isOf, itemTypes, makeKey, offsetOf } from "./key.ts";
import type { LogicalSpace } from "./logical-space.ts";
import { itemData, keyAt, type NodeFormat } from "./node.ts";
import type { Tree } from "./tree.ts";

/** Owner of the items of the checksum tree. */
export const checksumObjectid = -10n;
const checksumObjectidRounded = 2 ** 64;

/** Up to here a read comes from the cache of the source, as a view of it. */
const maxViewBytes = 64 * 1024;

/** Contents at logical addresses: verified where there are checksums, decompressed, from the first good copy. */
export class DataReader {
  readonly space: LogicalSpace;
  readonly #format: NodeFormat;
  readonly #checksumTree: () => MaybePromise<Tree>;
  /** Checksums that a log brought, by the address of their sector. */
  readonly #logged: ReadonlyMap<number, Buffer>;

  constructor(space: LogicalSpace, format: NodeFormat, checksumTree: () => MaybePromise<Tree>, logged: ReadonlyMap<number, Buffer>) {
    this.space = space;
    this.#format = format;
    this.#checksumTree = checksumTree;
    this.#logged = logged;
  }

  /**
   * The bytes [logical, logical + length), every sector checked, other copies tried where one is bad. They may be
   * shared with a cache. Throws "corrupt" naming the logical address where no copy is good or the checksum is missing.
   */
  async readVerified(logical: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { sectorBytes } = this.#format;
    const start = Math.floor(logical / sectorBytes) * sectorBytes;
    const end = Math.ceil((logical + length) / sectorBytes) * sectorBytes;
    const found = end - start <= maxViewBytes ? await this.#viewVerified(start, end) : undefined;
    if (found !== undefined) return found.length === length ? found : found.subarray(logical - start, logical - start + length);
    const bytes = Buffer.allocUnsafeSlow(end - start);
    const [stored] = await Promise.all([this.#checksums(start, end), this.space.readFirstInto(start, bytes, sectorBytes, signal)]);
    await this.#verify(start, bytes, stored, signal);
    return start === logical && bytes.length === length ? bytes : bytes.subarray(logical - start, logical - start + length);
  }

  /** A few sectors without a copy; undefined where they are not all there and good at once. */
  async #viewVerified(start: number, end: number): Promise<Buffer | undefined> {
    const { sectorBytes, checksum } = this.#format;
    const place = this.space.locate(start, end - start);
    if (place === undefined) return undefined;
    let bytes: Buffer;
    try {
      const read = place.source.read(place.offset, end - start);
      bytes = asBuffer(read instanceof Promise ? await read : read);
    } catch (error) {
      if (error instanceof DiskError) return undefined;
      throw error;
    }
    const stored = await this.#checksums(start, end);
    for (let at = 0, index = 0; at < bytes.length; at += sectorBytes, index += checksum.sizeBytes) {
      if (!checksum.matches(bytes, at, at + sectorBytes, stored, index)) return undefined;
    }
    return bytes;
  }

  /** As readVerified, for files without checksums. */
  async readPlain(logical: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length);
    await this.space.readInto(logical, bytes, signal);
    return bytes;
  }

  /** A compressed extent, decoded to `ramBytes`. */
  async readCompressed(
    extent: { readonly diskLogical: number; readonly diskBytes: number; readonly compression: number; readonly ramBytes: number },
    isVerified: boolean, signal?: AbortSignal,
  ): Promise<Buffer> {
    const read = isVerified ? this.readVerified(extent.diskLogical, extent.diskBytes, signal) : this.readPlain(extent.diskLogical, extent.diskBytes, signal);
    return decompressLater(extent.compression, await read, extent.ramBytes, this.#format.sectorBytes);
  }

  async #verify(start: number, bytes: Buffer, stored: Buffer, signal?: AbortSignal): Promise<void> {
    const { sectorBytes, checksum } = this.#format;
    for (let at = 0, index = 0; at < bytes.length; at += sectorBytes, index += checksum.sizeBytes) {
      if (checksum.matches(bytes, at, at + sectorBytes, stored, index)) continue;
      const logical = start + at;
      const accept = (sector: Uint8Array): Uint8Array => {
        if (checksum.matches(sector, 0, sectorBytes, stored, index)) return sector;
        throw corrupt(`btrfs data at logical ${logical}`, undefined, `the ${checksum.name} checksum of no copy matches`);
      };
      bytes.set(await this.space.readAny(logical, sectorBytes, accept, signal), at);
    }
  }

  /** The checksums of the sectors of [start, end), side by side. */
  async #checksums(start: number, end: number): Promise<Buffer> {
    const { sectorBytes, checksum } = this.#format;
    const size = checksum.sizeBytes;
    const stored = Buffer.allocUnsafe(((end - start) / sectorBytes) * size);
    let tree: Tree | undefined;
    for (let position = start; position < end; ) {
      const at = ((position - start) / sectorBytes) * size;
      const logged = this.#logged.size === 0 ? undefined : this.#logged.get(position);
      if (logged !== undefined) {
        stored.set(logged, at);
        position += sectorBytes;
        continue;
      }
      if (tree === undefined) {
        const opened = this.#checksumTree();
        tree = opened instanceof Promise ? await opened : opened;
      }
      const found = tree.floor(makeKey(checksumObjectid, itemTypes.extentCsum, position));
      const view = found instanceof Promise ? await found : found;
      const key = view === undefined ? undefined : keyAt(view.leaf, view.index);
      const missing = () => corrupt(`btrfs checksum tree`, undefined, `no checksum for the data at logical ${position}`);
      if (view === undefined || key === undefined || !isOf(key, checksumObjectidRounded, itemTypes.extentCsum)) throw missing();
      const data = itemData(view.leaf, view.index);
      const first = offsetOf(key);
      const from = ((position - first) / sectorBytes) * size;
      if (!Number.isInteger(from) || from + size > data.length) throw missing();
      // Up to the end of the item, but one sector at a time where a log may know better.
      const count = this.#logged.size > 0 ? 1 : Math.min(Math.floor((data.length - from) / size), (end - position) / sectorBytes);
      data.copy(stored, at, from, from + count * size);
      position += count * sectorBytes;
    }
    return stored;
  }
}
