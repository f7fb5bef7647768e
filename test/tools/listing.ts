import type { ByteString } from "../../agent/filesystems/byte-string.ts";
import { byteStringToText } from "../../agent/filesystems/byte-string.ts";

/** One entry of a tree, in the one shape in which kernel mounts, our readers and stored listings are compared. */
export interface ListingEntry {
  /** Bytes, "a/b" without a leading slash; the root itself is "". */
  path: ByteString;
  /** As find -printf %y: f d l c b p s; undefined where even that could not be read. */
  type?: string;
  size?: number | bigint;
  /** Permission bits, 0 to 0o7777. */
  mode?: number;
  uid?: number;
  gid?: number;
  mtimeSeconds?: number;
  mtimeNanoseconds?: number;
  linkCount?: number;
  /** "major:minor" of a device node. */
  device?: string;
  target?: ByteString;
  /** Values in base64, by attribute name. */
  xattrs?: Record<string, string>;
  sha256?: string;
  /** Stands for sha256 on big files: see content-hash.ts. */
  nonZero?: { sha256: string; blocks: number };
  /** Why the entry, its attributes or its contents could not be read. */
  error?: string;
}

export type Listing = Map<ByteString, ListingEntry>;

export interface CompareOptions {
  /** Fields that the oracle cannot know or that are known to differ for a reason. */
  ignore?: ReadonlySet<keyof ListingEntry>;
  /** Paths, as text, that are known to differ for a reason: they are not compared. */
  except?: (path: string) => boolean;
  /** How many differences to spell out; the rest is counted. */
  limit?: number;
}

const compared = [
  "type", "size", "mode", "uid", "gid", "mtimeSeconds", "mtimeNanoseconds",
  "linkCount", "device", "target", "xattrs", "sha256", "nonZero",
] as const;

/**
 * The differences, one line each; an empty array when there are none. What the expected listing doesn't say (no
 * hash, no root) is not compared; an expected error must be an error in the actual listing, and no other may be.
 */
export function compareListings(expected: Listing, actual: Listing, options: CompareOptions = {}): string[] {
  const differences: string[] = [];
  for (const [path, wanted] of expected) {
    const shown = display(path);
    if (options.except?.(byteStringToText(path)) === true) continue;
    const found = actual.get(path);
    if (found === undefined) {
      differences.push(`${shown}: missing (expected ${wanted.error ?? wanted.type})`);
      continue;
    }
    if (wanted.error !== undefined) {
      if (found.error === undefined) differences.push(`${shown}: expected the error ${wanted.error}, found none`);
    } else if (found.error !== undefined) {
      differences.push(`${shown}: unexpected error: ${found.error}`);
    }
    for (const field of compared) {
      if (options.ignore?.has(field)) continue;
      const difference = compareField(field, wanted, found);
      if (difference !== undefined) differences.push(`${shown}: ${difference}`);
    }
  }
  for (const [path, found] of actual) {
    if (path === "" || expected.has(path) || options.except?.(byteStringToText(path)) === true) continue;
    differences.push(`${display(path)}: not expected (found ${found.type ?? found.error})`);
  }
  const limit = options.limit ?? 30;
  if (differences.length <= limit) return differences;
  return [...differences.slice(0, limit), `… and ${differences.length - limit} more`];
}

function compareField(field: (typeof compared)[number], wanted: ListingEntry, found: ListingEntry): string | undefined {
  const expected = wanted[field];
  // No xattrs on the oracle's side means there are none; every other absent field was not asked for.
  if (expected === undefined && (field !== "xattrs" || wanted.error !== undefined)) return undefined;
  // The contents are what the expected error is about.
  if (wanted.error !== undefined && (field === "sha256" || field === "nonZero")) return undefined;
  if (found.error !== undefined && found[field] === undefined) return undefined;
  const left = normalise(expected ?? {});
  const right = normalise(found[field] ?? (field === "xattrs" ? {} : undefined));
  return left === right ? undefined : `${field} expected ${shorten(left)}, found ${shorten(right)}`;
}

function normalise(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "object" && value !== null) return JSON.stringify(Object.entries(value).sort());
  return String(value);
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function display(path: ByteString): string {
  return JSON.stringify(byteStringToText(path));
}
