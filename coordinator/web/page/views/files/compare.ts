import type { Entry } from "../../api/types.ts";
import { lastSegment } from "./guest-paths.ts";

/** Against the restore point before. */
export const change = { none: 0, added: 1, changed: 2, gone: 3 } as const;

export interface Comparison {
  /** By row of the folder as it is now; the rows of `gone` follow after its last. */
  readonly changes: Uint8Array;
  /** Entries of before that are there no more. */
  readonly gone: readonly Entry[];
  readonly added: number;
  readonly changed: number;
}

/**
 * What became of a folder. By exact name: type, size, time of change, mode and link target tell
 * whether an entry is the same; contents are not read.
 */
export function compareFolders(now: readonly Entry[], before: readonly Entry[]): Comparison {
  const left = new Map<string, Entry>();
  for (const entry of before) left.set(lastSegment(entry.path), entry);
  const changes = new Uint8Array(now.length);
  let added = 0;
  let changed = 0;
  for (const [row, entry] of now.entries()) {
    const name = lastSegment(entry.path);
    const earlier = left.get(name);
    if (earlier === undefined) {
      changes[row] = change.added;
      added += 1;
      continue;
    }
    left.delete(name);
    if (isSame(entry, earlier)) continue;
    changes[row] = change.changed;
    changed += 1;
  }
  return { changes, gone: [...left.values()], added, changed };
}

function isSame(one: Entry, other: Entry): boolean {
  return (
    one.type === other.type &&
    one.modified_at === other.modified_at &&
    one.mode === other.mode &&
    one.symlink_target === other.symlink_target &&
    // A folder's own size is how its names are stored.
    (one.type === "directory" || one.size === other.size)
  );
}
