import { z } from "zod";
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

/** Positions from the listed folder downwards: one for a plain listing, more inside a recursive one. */
const cursorSchema = z.array(z.tuple([z.union([z.literal(0), z.literal(1)]), z.string(), z.number().int().nonnegative()])).min(1);

export function formatCursor(positions: readonly Position[]): string {
  return Buffer.from(JSON.stringify(positions.map(({ directory, name, ordinal }) => [directory ? 0 : 1, name, ordinal]))).toString("base64url");
}

/** @throws PluckError invalid_request */
export function parseCursor(cursor: string): Position[] {
  try {
    if (cursor.length > maxCursorLength) throw new RangeError("too long");
    const positions = cursorSchema.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
    return positions.map(([type, name, ordinal]) => ({ directory: type === 0, name, ordinal }));
  } catch (error) {
    throw new PluckError("invalid_request", "The cursor is not one that a listing gave.", { cause: error });
  }
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
