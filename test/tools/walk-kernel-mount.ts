import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from "node:fs";
import { execa } from "execa";
import { toByteString, byteStringToBytes, type ByteString } from "../../agent/filesystems/byte-string.ts";
import { ContentHash } from "./content-hash.ts";
import type { Listing, ListingEntry } from "./listing.ts";

/**
 * What the kernel shows of a mounted tree, the root included as "". Follows no symlink. An entry that the
 * kernel refuses carries the errno's name as its error.
 */
export async function walkKernelMount(directory: string, options: { xattrs?: boolean } = {}): Promise<Listing> {
  const listing: Listing = new Map();
  // A reused buffer: contents are hashed at once.
  const buffer = Buffer.allocUnsafe(1 << 20);
  walk(Buffer.from(directory), "", listing, buffer);
  if (options.xattrs ?? true) await addXattrs(directory, listing);
  return listing;
}

function walk(absolute: Buffer, path: ByteString, listing: Listing, buffer: Buffer): void {
  const entry: ListingEntry = { path };
  listing.set(path, entry);
  try {
    const stat = lstatSync(absolute, { bigint: true });
    setAttributes(entry, stat);
    if (entry.type === "l") entry.target = toByteString(readlinkSync(absolute, "buffer"));
    if (entry.type === "f") hashFile(absolute, stat.size, entry, buffer);
  } catch (error) {
    entry.error = errorCode(error);
  }
  if (entry.type !== "d") return;
  let names: Buffer[];
  try {
    names = readdirSync(absolute, "buffer") as Buffer[];
  } catch (error) {
    entry.error = errorCode(error);
    return;
  }
  for (const name of names) {
    const childPath = path === "" ? toByteString(name) : `${path}/${toByteString(name)}`;
    walk(Buffer.concat([absolute, Buffer.from("/"), name]), childPath, listing, buffer);
  }
}

function setAttributes(entry: ListingEntry, stat: BigIntStats): void {
  const mode = Number(stat.mode);
  entry.type = typeLetter(mode);
  entry.size = stat.size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(stat.size) : stat.size;
  entry.mode = mode & 0o7777;
  entry.uid = Number(stat.uid);
  entry.gid = Number(stat.gid);
  entry.linkCount = Number(stat.nlink);
  const nanoseconds = ((stat.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  entry.mtimeNanoseconds = Number(nanoseconds);
  entry.mtimeSeconds = Number((stat.mtimeNs - nanoseconds) / 1_000_000_000n);
  if (entry.type === "c" || entry.type === "b") entry.device = deviceText(stat.rdev);
}

/** The letter of find -printf %y for the type bits of st_mode. */
export function typeLetter(mode: number): string {
  const letters: Record<number, string> = { 0o10: "f", 0o4: "d", 0o12: "l", 0o2: "c", 0o6: "b", 0o1: "p", 0o14: "s" };
  return letters[mode >>> 12] ?? "?";
}

function deviceText(rdev: bigint): string {
  // The C library's split of dev_t: 12 bits of major, 20 of minor, the high parts above.
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function hashFile(absolute: Buffer, size: bigint, entry: ListingEntry, buffer: Buffer): void {
  const hash = new ContentHash(size);
  const descriptor = openSync(absolute, "r");
  try {
    for (;;) {
      const count = readSync(descriptor, buffer, 0, buffer.length, null);
      if (count === 0) break;
      hash.update(buffer.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
  Object.assign(entry, hash.digest());
}

/** One getfattr run over the whole tree: Node has no call for extended attributes. */
async function addXattrs(directory: string, listing: Listing): Promise<void> {
  const result = await execa("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "base64", "--absolute-names", directory], {
    encoding: "buffer",
    reject: false,
    maxBuffer: 1 << 30,
  });
  let entry: ListingEntry | undefined;
  for (const line of toByteString(result.stdout).split("\n")) {
    if (line.startsWith("# file: ")) {
      const path = unquote(line.slice("# file: ".length)).slice(byteStringLength(directory)).replace(/^\/+/, "");
      entry = listing.get(path);
      if (entry === undefined) throw new Error(`getfattr names a path that the walk didn't see: ${path}`);
    } else if (line !== "" && entry !== undefined) {
      const equals = line.indexOf("=");
      const name = unquote(equals < 0 ? line : line.slice(0, equals));
      const value = equals < 0 ? "" : line.slice(equals + 1);
      entry.xattrs ??= {};
      entry.xattrs[name] = value.startsWith("0s") ? value.slice(2) : "";
    }
  }
}

function unquote(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function byteStringLength(text: string): number {
  return byteStringToBytes(toByteString(Buffer.from(text))).length;
}

/** Errnos that libuv has no name for. */
const errnoNames: Record<number, string> = { 74: "EBADMSG", 117: "EUCLEAN", 126: "ENOKEY" };

function errorCode(error: unknown): string {
  const { code, errno } = error as NodeJS.ErrnoException;
  return errnoNames[Math.abs(errno ?? 0)] ?? code ?? String(error);
}
