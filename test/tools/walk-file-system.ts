import { DiskError } from "../../agent/blocks/disk-error.ts";
import type { ByteString } from "../../agent/filesystems/byte-string.ts";
import type { Attributes, DirectoryEntry, FileSystem } from "../../agent/filesystems/filesystem.ts";
import { ContentHash } from "./content-hash.ts";
import { readExtents } from "./read-contents.ts";
import type { Listing, ListingEntry } from "./listing.ts";
import { typeLetter } from "./walk-kernel-mount.ts";

export interface WalkOptions {
  /** Reads and hashes contents; default true. */
  contents?: boolean;
  /** Reads extended attributes; default true. */
  details?: boolean;
  /** Stops reading directories beyond this many entries; a damaged image may hold a great many. Default: a million. */
  maxEntries?: number;
  /** Larger files are not read. Default: all are. */
  maxContentBytes?: number;
}

/** What one of our readers shows, in the same shape as walkKernelMount. DiskErrors stay with their entry. */
export async function walkFileSystem<Node>(fs: FileSystem<Node>, options: WalkOptions = {}): Promise<Listing> {
  const listing: Listing = new Map();
  const maxEntries = options.maxEntries ?? 1_000_000;
  const root: ListingEntry = { path: "" };
  listing.set("", root);
  const rootAttributes = await statOne(fs, fs.root);
  await describe(fs, root, fs.root, rootAttributes, options);
  const queue: { path: ByteString; node: Node; entry: ListingEntry; ancestors: ReadonlySet<number | string> }[] = [
    { path: "", node: fs.root, entry: root, ancestors: new Set(rootAttributes instanceof DiskError ? [] : [rootAttributes.id]) },
  ];
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    try {
      for await (const batch of fs.readDirectory(directory.node)) {
        const attributes = await fs.stat(batch.map((child) => child.node));
        for (const [index, child] of batch.entries()) {
          const path = directory.path === "" ? child.name : `${directory.path}/${child.name}`;
          const entry: ListingEntry = { path };
          listing.set(path, entry);
          if (listing.size > maxEntries) return listing;
          const found = attributes[index]!;
          await describe(fs, entry, child.node, found, options, child);
          if (found instanceof DiskError || found.type !== "directory") continue;
          // The kernel refuses a directory that is its own ancestor with ELOOP.
          if (directory.ancestors.has(found.id)) entry.error ??= "a directory that holds itself";
          else queue.push({ path, node: child.node, entry, ancestors: new Set([...directory.ancestors, found.id]) });
        }
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      setError(directory.entry, error);
    }
  }
  return listing;
}

async function statOne<Node>(fs: FileSystem<Node>, node: Node): Promise<Attributes | DiskError> {
  const [found] = await fs.stat([node]);
  return found!;
}

async function describe<Node>(
  fs: FileSystem<Node>,
  entry: ListingEntry,
  node: Node,
  found: Attributes | DiskError,
  options: WalkOptions,
  child?: DirectoryEntry<Node>,
): Promise<void> {
  if (child?.error !== undefined) setError(entry, child.error);
  if (found instanceof DiskError) {
    setError(entry, found);
    return;
  }
  entry.type = typeLetter(found.mode);
  entry.size = found.size;
  entry.mode = found.mode & 0o7777;
  entry.uid = found.uid;
  entry.gid = found.gid;
  entry.linkCount = found.linkCount;
  entry.mtimeSeconds = found.mtimeSeconds;
  entry.mtimeNanoseconds = found.mtimeNanoseconds;
  if (entry.type === "c" || entry.type === "b") entry.device = `${found.deviceMajor}:${found.deviceMinor}`;
  if (found.contentError !== undefined) setError(entry, found.contentError);
  if (options.details ?? true) await orError(entry, () => addXattrs(fs, node, entry));
  if (found.contentError !== undefined) return;
  if (found.type === "symlink") await orError(entry, async () => (entry.target = await fs.readLink(node)));
  if (found.type === "file" && (options.contents ?? true) && found.size <= (options.maxContentBytes ?? Infinity)) {
    await orError(entry, async () => {
      const hash = new ContentHash(found.size);
      await readExtents(fs, node, 0, Number(found.size), hash);
      Object.assign(entry, hash.digest());
    });
  }
}

async function orError(entry: ListingEntry, attempt: () => Promise<unknown>): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    // Anything else is a mistake in the reader, also on damaged images: the caller must see it.
    if (!(error instanceof DiskError)) throw error;
    setError(entry, error);
  }
}

async function addXattrs<Node>(fs: FileSystem<Node>, node: Node, entry: ListingEntry): Promise<void> {
  const details = await fs.details(node);
  if (details.xattrError !== undefined) setError(entry, details.xattrError);
  if (details.xattrs.size === 0) return;
  entry.xattrs = {};
  for (const [name, value] of details.xattrs) entry.xattrs[name] = Buffer.from(value).toString("base64");
}

/** Between the errors of an entry that has several. */
export const errorSeparator = " | ";

function setError(entry: ListingEntry, error: DiskError): void {
  const text = `${error.code}: ${error.message}`;
  if (entry.error === undefined) entry.error = text;
  else if (!entry.error.split(errorSeparator).includes(text)) entry.error += errorSeparator + text;
}
