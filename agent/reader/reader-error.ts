import { DiskError } from "../blocks/disk-error.ts";
import { PluckError } from "../../shared/errors.ts";
import type { NodeError } from "./disk-reader.ts";

/**
 * The error as users see it. Whatever a reader throws that is neither of ours was provoked by bytes
 * on the disk, so it counts as damage of what was being read, not as our failure.
 * @param reading what was being read: "volume p2", "folder /p2/etc"
 */
export function toReaderError(error: unknown, reading: string): PluckError {
  if (error instanceof PluckError) return error;
  if (error instanceof DiskError) return new PluckError(error.code, error.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new PluckError("corrupt", `${reading}: the reader failed: ${message}`, { cause: error });
}

/** The same for an entry of a listing, which only knows the three families of a disk's errors. */
export function toNodeError(error: unknown, reading: string): NodeError {
  const { code, message } = toReaderError(error, reading);
  return { code: code === "unsupported" || code === "io_error" ? code : "corrupt", detail: message };
}
