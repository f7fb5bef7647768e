/** A value at hand, or a promise of it. Test with `instanceof Promise`: a cache hit then costs no await. */
export type MaybePromise<T> = T | Promise<T>;

/** A half-open range [offset, offset + length) of a source, in bytes. */
export interface BlockExtent {
  readonly offset: number;
  readonly length: number;
  /** True where the storage promises zeros without reading them. */
  readonly hole: boolean;
}

/**
 * A read-only run of bytes: an NBD export, a partition of it, a logical volume, a cache over any
 * of these. Everything that reads a disk is a wrapper over this one interface.
 *
 * Offsets and lengths are in bytes, any alignment, non-negative safe integers. Reads are
 * positional and exact: all the bytes, or a DiskError. A range that leaves the source is
 * "corrupt" (something on the disk pointed there), a failed read is "io_error".
 */
export interface BlockSource {
  readonly sizeBytes: number;

  /**
   * Small reads of metadata. The bytes may be shared with a cache: never modify or transfer them.
   * Returns them at once when they are cached.
   */
  read(offset: number, length: number): MaybePromise<Uint8Array>;

  /** Large reads of file contents: fills the caller's buffer, bypassing caches where that is cheaper. */
  readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>;

  /**
   * Which parts of a range are known to be zero; the answer may stop short of `length` but covers at
   * least one byte from `offset` on. A source that can't tell answers with one data extent.
   */
  extents(offset: number, length: number, signal?: AbortSignal): Promise<BlockExtent[]>;
}

/** A source that owns something: a socket, a file descriptor. */
export interface ClosableBlockSource extends BlockSource {
  close(): Promise<void>;
}
