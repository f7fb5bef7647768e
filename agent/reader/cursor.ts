import { PluckError } from "../../shared/errors.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { DirectoryEntry } from "../filesystems/filesystem.ts";
import type { Folder } from "./folder.ts";

/**
 * A place in a folder's listing that can be found again after a restart: what comes next is what
 * sorts after this entry. `ordinal` counts entries of the same name, of which a damaged folder may have several.
 */
export interface Position {
  readonly directory: boolean;
  readonly name: ByteString;
  readonly ordinal: number;
}

/** Longest cursor that is read: a path of 64 KiB in base64, with some air. */
const maxCursorLength = 256 * 1024;

/** @param positions from the listed folder downwards: one for a plain listing, more inside a recursive one */
export function formatCursor(positions: readonly Position[]): string {
  return Buffer.from(JSON.stringify(positions.map(({ directory, name, ordinal }) => [directory ? 0 : 1, name, ordinal]))).toString("base64url");
}

/** @throws PluckError invalid_request */
export function parseCursor(cursor: string): Position[] {
  const positions = cursor.length > maxCursorLength ? undefined : toPositions(decode(cursor));
  if (positions === undefined) throw new PluckError("invalid_request", "The cursor is not one that a listing gave.");
  return positions;
}

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

function toPositions(value: unknown): Position[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const positions: Position[] = [];
  for (const item of value as unknown[]) {
    if (!Array.isArray(item) || item.length !== 3) return undefined;
    const [type, name, ordinal] = item as unknown[];
    if ((type !== 0 && type !== 1) || typeof name !== "string" || !Number.isSafeInteger(ordinal) || Number(ordinal) < 0) return undefined;
    positions.push({ directory: type === 0, name, ordinal: Number(ordinal) });
  }
  return positions;
}

/** Where an entry of a folder stands. */
export function positionOf(folder: Folder, index: number): Position {
  const name = nameAt(folder, index);
  const directory = index < folder.directoryCount;
  const first = directory ? 0 : folder.directoryCount;
  let ordinal = 0;
  while (index - ordinal - 1 >= first && nameAt(folder, index - ordinal - 1) === name) ordinal += 1;
  return { directory, name, ordinal };
}

/** Index of the first entry at or after a position; `exact` when the very entry is there. */
export function findPosition(folder: Folder, position: Position): { readonly index: number; readonly exact: boolean } {
  let low = position.directory ? 0 : folder.directoryCount;
  let high = position.directory ? folder.directoryCount : folder.entries.length;
  const end = high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (nameAt(folder, middle) < position.name) low = middle + 1;
    else high = middle;
  }
  let index = low;
  for (let skipped = 0; skipped < position.ordinal && index < end && nameAt(folder, index) === position.name; skipped += 1) index += 1;
  return { index, exact: index < end && nameAt(folder, index) === position.name };
}

function nameAt(folder: Folder, index: number): ByteString {
  const entry: DirectoryEntry<unknown> | undefined = folder.entries[index];
  return entry === undefined ? "" : entry.name;
}
