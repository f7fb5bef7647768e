import { DiskError } from "../../agent/blocks/disk-error.ts";
import type { Attributes, DirectoryEntry, FileSystem } from "../../agent/filesystems/filesystem.ts";

export interface TreeItem {
  readonly path: string;
  readonly directory: unknown;
  readonly entry: DirectoryEntry<unknown>;
  readonly attributes: Attributes | DiskError;
  /** False when the directory holds this name more than once: then a lookup may mean the other. */
  readonly isUnique: boolean;
}

/** The first entries of a tree, breadth first; what a damaged directory doesn't give is left out. */
export async function collectTree(fs: FileSystem, maxItems: number): Promise<TreeItem[]> {
  const items: TreeItem[] = [];
  const queue: { path: string; node: unknown }[] = [{ path: "", node: fs.root }];
  const visited = new Set<number | string>();
  for (let directory = queue.shift(); directory !== undefined && items.length < maxItems; directory = queue.shift()) {
    const { entries } = await readWhole(fs, directory.node);
    const attributes = await fs.stat(entries.map((entry) => entry.node));
    const counts = new Map<string, number>();
    for (const entry of entries) counts.set(entry.name, (counts.get(entry.name) ?? 0) + 1);
    for (const [index, entry] of entries.entries()) {
      const found = attributes[index]!;
      const path = `${directory.path}/${entry.name}`;
      items.push({ path, directory: directory.node, entry, attributes: found, isUnique: counts.get(entry.name) === 1 });
      if (found instanceof DiskError || found.type !== "directory" || visited.has(found.id)) continue;
      visited.add(found.id);
      queue.push({ path, node: entry.node });
    }
  }
  return items.slice(0, maxItems);
}

/** All entries of a directory, and the DiskError that ended it before its end. */
export async function readWhole(fs: FileSystem, directory: unknown): Promise<{ entries: DirectoryEntry<unknown>[]; error?: DiskError }> {
  const entries: DirectoryEntry<unknown>[] = [];
  try {
    for await (const batch of fs.readDirectory(directory)) entries.push(...batch);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return { entries, error };
  }
  return { entries };
}
