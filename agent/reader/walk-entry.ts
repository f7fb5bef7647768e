import type { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, FileSystem } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import type { NodeError, WalkEntry } from "./disk-reader.ts";
import { modifiedAt, ownXattrs } from "./node.ts";
import { toNodeError } from "./reader-error.ts";
import type { NodePlace } from "./resolve.ts";
import { readSmallFile, smallFileBytes } from "./small-file.ts";
import { findDataRanges } from "./sparse.ts";
import type { Visit } from "./traversal.ts";

/** What to give for one entry: itself, then its bytes. */
export interface Prepared {
  readonly entry: WalkEntry;
  /** All its bytes, for a small file. */
  readonly bytes?: Uint8Array;
  /** Where to read the bytes of a large one. */
  readonly content?: LargeContent;
}

export interface LargeContent {
  readonly fileSystem: FileSystem;
  readonly node: unknown;
  readonly path: string;
}

/** The walked folder itself. */
export async function describeTop(place: { readonly kind: "top" } | NodePlace): Promise<WalkEntry> {
  if (place.kind === "top") return { ...noAttributes([], "directory"), mode: 0o40555 };
  const { fileSystem } = place.volume;
  return describe([], place.attributes, await readXattrs(fileSystem, place.node, place.entryError));
}

/** Reads all that a walk tells of an entry, and a small file's contents; what fails stands in the entry. */
export async function prepareEntry(visit: Visit, path: readonly ByteString[], attributes: Attributes): Promise<Prepared> {
  if (visit.kind === "volume") {
    const { volume } = visit;
    if (!volume.readable) return { entry: { ...noAttributes(path, "directory"), error: volume.error } };
    return { entry: describe(path, attributes, await readXattrs(volume.fileSystem, volume.fileSystem.root, undefined)) };
  }
  const { fileSystem } = visit.volume;
  const { node } = visit.entry;
  const shown = formatGuestPath(visit.path);
  const problem = visit.entry.error ?? visit.folderError ?? attributes.contentError;
  const entry = describe(path, attributes, await readXattrs(fileSystem, node, problem));
  if (entry.error !== undefined) return { entry };
  try {
    if (attributes.type === "symlink") return { entry: { ...entry, symlinkTarget: await fileSystem.readLink(node) } };
    if (attributes.type !== "file" || attributes.size === 0) return { entry };
    if (typeof attributes.size === "bigint") {
      throw new PluckError("unsupported", `${shown}: its size ${attributes.size} is beyond ${Number.MAX_SAFE_INTEGER}`);
    }
    if (attributes.size <= smallFileBytes) {
      const bytes = await readSmallFile(fileSystem, node, attributes.size);
      return { entry: { ...entry, dataLength: bytes.length }, bytes };
    }
    const content = { fileSystem, node, path: shown };
    const dataRanges = await findDataRanges(fileSystem, node, attributes.size);
    if (dataRanges === undefined) return { entry: { ...entry, dataLength: attributes.size }, content };
    const dataLength = dataRanges.reduce((sum, range) => sum + range.length, 0);
    return { entry: { ...entry, dataLength, dataRanges }, content };
  } catch (error) {
    return { entry: unreadable(entry, toNodeError(error, shown)) };
  }
}

type Extra = Pick<WalkEntry, "xattrs" | "error" | "xattrError">;

async function readXattrs(fileSystem: FileSystem, node: unknown, problem: DiskError | undefined): Promise<Extra> {
  const error = problem === undefined ? {} : { error: toNodeError(problem, "entry") };
  try {
    const details = await fileSystem.details(node);
    const xattrs = details.xattrs.size === 0 ? noXattrs : ownXattrs(details);
    if (details.xattrError === undefined) return { xattrs, ...error };
    return { xattrs, ...error, xattrError: toNodeError(details.xattrError, "extended attributes") };
  } catch (cause) {
    return { xattrs: noXattrs, ...error, xattrError: toNodeError(cause, "extended attributes") };
  }
}

export const noXattrs: WalkEntry["xattrs"] = [];

export function describe(path: readonly ByteString[], attributes: Attributes, extra: Extra): WalkEntry {
  return {
    kind: "entry",
    path,
    type: attributes.type,
    size: attributes.size,
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    modifiedAt: modifiedAt(attributes),
    deviceMajor: attributes.deviceMajor,
    deviceMinor: attributes.deviceMinor,
    xattrs: extra.xattrs,
    dataLength: 0,
    ...(extra.error === undefined ? {} : { error: extra.error }),
    ...(extra.xattrError === undefined ? {} : { xattrError: extra.xattrError }),
  };
}

export function noAttributes(path: readonly ByteString[], type: WalkEntry["type"]): WalkEntry {
  const modified = { seconds: 0, nanoseconds: 0, digits: 0 };
  return { kind: "entry", path, type, size: 0, mode: 0, uid: 0, gid: 0, modifiedAt: modified, deviceMajor: 0, deviceMinor: 0, xattrs: noXattrs, dataLength: 0 };
}

/** An entry without its data. */
export function unreadable(entry: WalkEntry, error: NodeError): WalkEntry {
  const { dataRanges: _, ...rest } = entry;
  return { ...rest, dataLength: 0, error };
}
