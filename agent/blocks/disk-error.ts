/**
 * What can go wrong while reading a disk. The families stay apart all the way to the user:
 * damage is never shown as absence, and a failed read never as damage.
 */
export type DiskErrorCode =
  /** The storage below failed; the same read may succeed later. */
  | "io_error"
  /** The bytes on the disk contradict the format. */
  | "corrupt"
  /** The bytes are well formed, but use something this reader does not implement. */
  | "unsupported";

export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly code: DiskErrorCode;

  constructor(code: DiskErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * @param structure the on-disk structure in the format's own terms: "ext4 inode 12", "GPT header"
 * @param offsetBytes where it lies, from the start of the source the reader was given
 * @param found what is wrong and what would be right: "magic 0x0000, expected 0xef53"
 */
export function corrupt(structure: string, offsetBytes: number | undefined, found: string): DiskError {
  const where = offsetBytes === undefined ? "" : ` at byte ${offsetBytes}`;
  return new DiskError("corrupt", `${structure}${where}: ${found}`);
}

/** @param what the feature, in the format's own terms: "ext4 feature incompat 0x80000000" */
export function unsupported(what: string): DiskError {
  return new DiskError("unsupported", what);
}

/** Turns anything thrown into a DiskError; what is not one already counts as corrupt: hostile bytes led there. */
export function toDiskError(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DiskError("corrupt", `reader failed: ${message}`, { cause: error });
}
