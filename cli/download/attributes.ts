import { fchmodSync, fchownSync, futimesSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Entry } from "../api/types.ts";

export interface AttributeOptions {
  /** As root: owners too, and with them the bits that only make sense with their owner (setuid, setgid, sticky). */
  readonly owner: boolean;
}

/** Permission bits that are kept; undefined when the guest's filesystem has none (FAT). */
export function modeOf({ mode }: Pick<Entry, "mode">, { owner }: AttributeOptions): number | undefined {
  return mode === null ? undefined : Number.parseInt(mode, 8) & (owner ? 0o7777 : 0o777);
}

/** An ISO time with any number of digits, in seconds, as exact as a number holds it: about 0.2 µs. */
export function toSeconds(time: string | null): number | undefined {
  const match = time === null ? null : /^(.*T\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(time);
  const whole = Date.parse(`${match?.[1]}Z`);
  return match === null || Number.isNaN(whole) ? undefined : whole / 1000 + Number(match[2] ?? 0);
}

/** Owner first: a change of it takes bits of the mode away. */
export async function setAttributes(handle: FileHandle, entry: Pick<Entry, "mode" | "uid" | "gid" | "modified_at">, options: AttributeOptions, fallbackMode: number): Promise<void> {
  if (options.owner && entry.uid !== null && entry.gid !== null) await handle.chown(entry.uid, entry.gid);
  await handle.chmod(modeOf(entry, options) ?? fallbackMode & ~process.umask());
  const modified = toSeconds(entry.modified_at);
  if (modified !== undefined) await handle.utimes(Date.now() / 1000, modified);
}

/** The same for a file descriptor, at once. */
export function setAttributesSync(file: number, entry: Pick<Entry, "mode" | "uid" | "gid" | "modified_at">, options: AttributeOptions, fallbackMode: number): void {
  if (options.owner && entry.uid !== null && entry.gid !== null) fchownSync(file, entry.uid, entry.gid);
  fchmodSync(file, modeOf(entry, options) ?? fallbackMode & ~process.umask());
  const modified = toSeconds(entry.modified_at);
  if (modified !== undefined) futimesSync(file, Date.now() / 1000, modified);
}

/** What utimes may have rounded. */
const timeToleranceS = 0.000_002;

/** Whether a file here has the size and time of the guest's. */
export function looksThere(found: { isFile(): boolean; size: number; mtimeNs?: bigint; mtimeMs: number }, entry: Pick<Entry, "size" | "modified_at">): boolean {
  const modified = toSeconds(entry.modified_at);
  if (!found.isFile() || modified === undefined || found.size !== Number(entry.size)) return false;
  return Math.abs(found.mtimeMs / 1000 - modified) < timeToleranceS;
}
