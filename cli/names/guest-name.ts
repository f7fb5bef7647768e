import { formatName, nameCandidates } from "../../shared/guest-path.ts";

/** The exact bytes of the last name of an entry's `path` (shared/guest-path.ts); empty for "/". */
export function nameBytes(path: string): Buffer {
  return segmentBytes(path.slice(path.lastIndexOf("/") + 1));
}

/** The exact bytes of one segment of an entry's `path`. */
export function segmentBytes(segment: string): Buffer {
  return Buffer.from(nameCandidates(segment)[0] ?? "", "latin1");
}

/** The segments of a path as written; "/" has none. */
export function segmentsOf(path: string): string[] {
  return path.split("/").filter((segment) => segment !== "");
}

/** An entry's path below a folder's, segment by segment; undefined when it does not lie there. */
export function below(path: string, folder: string): string[] | undefined {
  const segments = segmentsOf(path);
  const prefix = segmentsOf(folder);
  return prefix.every((segment, index) => segments[index] === segment) ? segments.slice(prefix.length) : undefined;
}

/** A name as the `path` form has it. */
export function toSegment(bytes: Buffer): string {
  return formatName(bytes.toString("latin1"));
}
