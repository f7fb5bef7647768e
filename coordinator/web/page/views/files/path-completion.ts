import type { Entry } from "../../api/types.ts";
import { cleanPath, lastSegment } from "./guest-paths.ts";

/** More than these are not offered: go on typing. */
const maxOffers = 12;

/** What is being typed: the folder that is known, and how its entry begins. */
export interface TypedPath {
  readonly folder: string;
  readonly beginning: string;
}

export function splitTyped(typed: string): TypedPath {
  const slash = typed.lastIndexOf("/");
  return { folder: cleanPath(typed.slice(0, Math.max(0, slash))), beginning: typed.slice(slash + 1) };
}

/**
 * Entries that may be meant, as paths; folders end in "/". Those that begin as it is typed, and where
 * there are none those that begin so in another case.
 */
export function completions(beginning: string, entries: readonly Pick<Entry, "path" | "type">[]): string[] {
  const lower = beginning.toLowerCase();
  const exact: string[] = [];
  const similar: string[] = [];
  for (const { path, type } of entries) {
    const name = lastSegment(path);
    const list = name.startsWith(beginning) ? exact : name.toLowerCase().startsWith(lower) ? similar : undefined;
    if (list === undefined || list.length >= maxOffers) continue;
    list.push(type === "directory" ? `${path}/` : path);
  }
  return exact.length > 0 ? exact : similar;
}

/** The longest beginning that all have: what Tab fills in. */
export function commonBeginning(paths: readonly string[]): string {
  let common = paths[0] ?? "";
  for (const path of paths) while (!path.startsWith(common)) common = common.slice(0, -1);
  return common;
}
