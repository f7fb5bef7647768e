import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { readBackup } from "../api/catalog.ts";
import type { Backup } from "../api/types.ts";

/** By id, for names beside what only carries ids. Restore points hardly change; null: it could not be had. */
const known = signal<ReadonlyMap<string, Backup | null>>(new Map());
const asked = new Set<string>();

/** @returns those of the ids that have come; a component that calls it is drawn again when more do */
export function useBackups(ids: readonly string[]): ReadonlyMap<string, Backup | null> {
  useEffect(() => {
    for (const id of ids) {
      if (asked.has(id)) continue;
      asked.add(id);
      readBackup(id).then(
        (backup) => { known.value = new Map(known.peek()).set(id, backup); },
        () => {
          // Tried again by the next view that needs it.
          asked.delete(id);
          known.value = new Map(known.peek()).set(id, null);
        },
      );
    }
  }, [ids.join("\n")]);
  return known.value;
}
