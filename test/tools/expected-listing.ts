import { readFileSync } from "node:fs";
import { zstdDecompressSync } from "node:zlib";
import { textToByteString, toByteString, type ByteString } from "../../agent/filesystems/byte-string.ts";
import type { Listing, ListingEntry } from "./listing.ts";

/** A line of NAME.expected.jsonl.zst. */
interface ExpectedLine {
  _meta?: { oracle: string; fs: string; entries: number };
  path?: string;
  path_b64?: string;
  type?: string;
  size?: number;
  mode?: string;
  uid?: number;
  gid?: number;
  mtime?: number;
  mtime_nsec?: number;
  nlink?: number;
  target?: string;
  target_b64?: string;
  xattrs?: Record<string, string>;
  sha256?: string;
  nz_sha256?: string;
  nz_blocks?: number;
  error?: string;
  error_readdir?: string;
}

export interface ExpectedListing {
  readonly oracle: string;
  /** The type as blkid names it. */
  readonly fileSystem: string;
  readonly listing: Listing;
  /** Paths that the oracle lists more than once: two entries of one name. */
  readonly repeated: readonly string[];
}

/** Reads a stored listing of an independent reader. */
export function readExpectedListing(path: string): ExpectedListing {
  const text = zstdDecompressSync(readFileSync(path)).toString("utf8");
  const listing: Listing = new Map();
  const repeated: string[] = [];
  let meta: ExpectedLine["_meta"];
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const parsed = JSON.parse(line) as ExpectedLine;
    if (parsed._meta !== undefined) {
      meta = parsed._meta;
      continue;
    }
    const entry = toEntry(parsed);
    if (listing.has(entry.path)) repeated.push(entry.path);
    listing.set(entry.path, entry);
  }
  if (meta === undefined) throw new Error(`${path} has no _meta line`);
  return { oracle: meta.oracle, fileSystem: meta.fs, listing, repeated };
}

function toEntry(line: ExpectedLine): ListingEntry {
  const entry: ListingEntry = { path: bytes(line.path, line.path_b64)! };
  if (line.type !== undefined) entry.type = line.type;
  if (line.size !== undefined) entry.size = line.size;
  if (line.mode !== undefined) entry.mode = Number.parseInt(line.mode, 8);
  if (line.uid !== undefined) entry.uid = line.uid;
  if (line.gid !== undefined) entry.gid = line.gid;
  if (line.mtime !== undefined) entry.mtimeSeconds = line.mtime;
  if (line.mtime_nsec !== undefined) entry.mtimeNanoseconds = line.mtime_nsec;
  if (line.nlink !== undefined) entry.linkCount = line.nlink;
  const target = bytes(line.target, line.target_b64);
  if (target !== undefined) entry.target = target;
  if (line.xattrs !== undefined) entry.xattrs = line.xattrs;
  if (line.sha256 !== undefined) entry.sha256 = line.sha256;
  if (line.nz_sha256 !== undefined) entry.nonZero = { sha256: line.nz_sha256, blocks: line.nz_blocks! };
  const error = line.error ?? line.error_readdir;
  if (error !== undefined) entry.error = error;
  return entry;
}

function bytes(text: string | undefined, base64: string | undefined): ByteString | undefined {
  if (base64 !== undefined) return toByteString(Buffer.from(base64, "base64"));
  return text === undefined ? undefined : textToByteString(text);
}
