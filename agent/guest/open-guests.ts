import { DiskError, toDiskError } from "../blocks/disk-error.ts";
import { byteStringToText, toByteString, type ByteString } from "../filesystems/byte-string.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import { findDiskName, findSource, type SourceContext } from "./find-source.ts";
import { type FstabLine, isBind, isOnDisk, maxFstabBytes, optionValue, parseCrypttab, parseFstab } from "./fstab.ts";
import type { GuestVolume } from "./guest-volume.ts";
import { JoinedFileSystem, type JoinedNode, type Mount } from "./joined-file-system.ts";
import { readWholeFile, walkPath } from "./walk-path.ts";

/** Systems on one disk that get a tree of their own. */
const maxGuests = 16;
/** Mounts in one tree. */
const maxMounts = 256;
/** Folders at the top of a btrfs that are tried as the root: guests keep it in "@", "root", "@rootfs". */
const maxSubvolumesTried = 64;
/** The btrfs reader's name for the top level of a volume that shows another subvolume. */
const btrfsTopLevel = ".btrfs-toplevel";

/** One line of the guest's fstab, and what became of it. */
export interface GuestMount {
  readonly source: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly options: string;
  /** The volume that is joined there: "p1". */
  readonly volume: string | undefined;
  /** Why nothing is; the mount point is then the folder that lies underneath. */
  readonly problem: string | undefined;
}

/** A guest's own tree. */
export type Guest =
  | { readonly root: GuestVolume; readonly fileSystem: JoinedFileSystem; readonly mounts: readonly GuestMount[] }
  | { readonly root: GuestVolume; readonly error: DiskError };

/** A folder that holds /etc/fstab. */
interface Candidate {
  readonly volume: GuestVolume;
  readonly fileSystem: FileSystem;
  readonly folder: unknown;
  readonly fstab: ByteString | DiskError;
}

/**
 * The trees of the systems installed on a disk, one for each readable /etc/fstab, in the order of the
 * volumes; those whose own line for "/" names the volume that it lies on come first. Throws nothing:
 * damage on the way to a file shows where the volume itself is read.
 */
export async function openGuests(volumes: readonly GuestVolume[]): Promise<Guest[]> {
  const candidates = (await Promise.all(volumes.map(findCandidates))).flat();
  const guests = await Promise.all(candidates.slice(0, maxGuests * 4).map((candidate) => openGuest(candidate, volumes)));
  const found = guests.flatMap((guest) => guest ?? []);
  const sure = found.filter(({ isSure }) => isSure);
  return [...sure, ...found.filter(({ isSure }) => !isSure)].slice(0, maxGuests).map(({ guest }) => guest);
}

async function findCandidates(volume: GuestVolume): Promise<Candidate[]> {
  const { fileSystem } = volume;
  if (fileSystem === undefined) return [];
  const folders: unknown[] = [fileSystem.root];
  try {
    if (fileSystem.facts.type === "btrfs") folders.push(...(await topFolders(fileSystem)));
  } catch {
    // The volume's own listing tells of it.
  }
  const found: Candidate[] = [];
  for (const folder of folders) {
    const fstab = await readFstab(fileSystem, folder);
    if (fstab !== undefined) found.push({ volume, fileSystem, folder, fstab });
  }
  return found;
}

async function readFstab(fileSystem: FileSystem, folder: unknown): Promise<ByteString | DiskError | undefined> {
  try {
    if ((await walkPath(fileSystem, folder, "etc/fstab"))?.attributes.type !== "file") return undefined;
  } catch {
    return undefined;
  }
  try {
    const bytes = await readWholeFile(fileSystem, folder, "etc/fstab", maxFstabBytes);
    return bytes === undefined ? undefined : toByteString(bytes);
  } catch (error) {
    return toDiskError(error);
  }
}

async function topFolders(fileSystem: FileSystem): Promise<unknown[]> {
  const folders: unknown[] = [];
  for await (const batch of fileSystem.readDirectory(await btrfsTop(fileSystem))) {
    for (const entry of batch) {
      if (folders.length >= maxSubvolumesTried) return folders;
      if (entry.type === "directory" && entry.error === undefined) folders.push(entry.node);
    }
  }
  return folders;
}

async function btrfsTop(fileSystem: FileSystem): Promise<unknown> {
  return (await fileSystem.lookup(fileSystem.root, btrfsTopLevel))?.node ?? fileSystem.root;
}

/** Undefined for a folder that only looks like a root: a snapshot, a copy of one. */
async function openGuest(candidate: Candidate, volumes: readonly GuestVolume[]): Promise<{ readonly guest: Guest; readonly isSure: boolean } | undefined> {
  const { volume: root, fileSystem, folder, fstab } = candidate;
  const isWholeVolume = folder === fileSystem.root;
  if (fstab instanceof DiskError) return isWholeVolume ? { guest: { root, error: fstab }, isSure: false } : undefined;
  const lines = parseFstab(fstab);
  const context: SourceContext = { volumes, root, diskName: findDiskName(lines, root), crypttab: await readCrypttab(fileSystem, folder) };
  const rootLine = lines.find((line) => line.mountPoint === "/");
  const isSure = rootLine !== undefined && (await isRootOf(rootLine, candidate, context));
  if (!isWholeVolume && !isSure) return undefined;
  const joined = new JoinedFileSystem({ number: 0, volume: root.summary.name, fileSystem, root: folder });
  const mounts = await joinAll(joined, lines, context);
  return { guest: { root, fileSystem: joined, mounts }, isSure };
}

async function readCrypttab(fileSystem: FileSystem, folder: unknown) {
  try {
    const bytes = await readWholeFile(fileSystem, folder, "etc/crypttab", maxFstabBytes);
    return bytes === undefined ? [] : parseCrypttab(toByteString(bytes));
  } catch {
    // Without it encrypted volumes are told apart by their header only.
    return [];
  }
}

async function isRootOf(line: FstabLine, { volume, fileSystem, folder }: Candidate, context: SourceContext): Promise<boolean> {
  const found = findSource(line.source, context);
  if (!("volume" in found) || found.volume !== volume) return false;
  try {
    const root = await mountedFolder(fileSystem, line);
    if (typeof root === "string") return false;
    const [named, own] = await fileSystem.stat([root.folder, folder]);
    return named !== undefined && own !== undefined && !(named instanceof DiskError) && !(own instanceof DiskError) && named.id === own.id;
  } catch {
    return false;
  }
}

/** The folder of a filesystem that a line mounts, or why it can't be found. Only btrfs has subvolumes to name. */
async function mountedFolder(fileSystem: FileSystem, { options }: FstabLine): Promise<{ readonly folder: unknown } | string> {
  if (fileSystem.facts.type !== "btrfs") return { folder: fileSystem.root };
  const path = optionValue(options, "subvol");
  const id = optionValue(options, "subvolid");
  if (path === undefined && id === undefined) return { folder: fileSystem.root };
  if (path === undefined && id !== "0" && id !== "5") return `subvolume ${id} is named by its number only; its path would be followed`;
  const top = await btrfsTop(fileSystem);
  const found = await walkPath(fileSystem, top, path ?? "/");
  if (found === undefined || found.attributes.type !== "directory") return `the volume has no subvolume ${byteStringToText(path ?? "")}`;
  return { folder: found.node };
}

async function joinAll(joined: JoinedFileSystem, lines: readonly FstabLine[], context: SourceContext): Promise<GuestMount[]> {
  const mounts: GuestMount[] = [];
  // A mount point may lie on what another line mounts, whatever their order; of one depth, in the order of the file.
  const ordered = [...lines.entries()].sort(([, a], [, b]) => orderOf(a) - orderOf(b));
  for (const [index, line] of ordered) {
    if (!isOnDisk(line)) continue;
    const described = {
      source: byteStringToText(line.source),
      mountPoint: byteStringToText(line.mountPoint),
      type: byteStringToText(line.type),
      options: byteStringToText(line.options.join(",")),
    };
    if (mounts.length >= maxMounts) break;
    if (depthOf(line.mountPoint) === 0) {
      const found = findSource(line.source, context);
      const problem = "volume" in found && found.volume === context.root ? undefined : `the volume that holds the fstab is taken: ${"volume" in found ? `the line names /${found.volume.summary.name}` : found.problem}`;
      mounts.push({ ...described, volume: context.root.summary.name, problem });
      continue;
    }
    const outcome = await joinOne(joined, line, index + 1, context).catch((error: unknown) => toDiskError(error).message);
    mounts.push(typeof outcome === "string" ? { ...described, volume: undefined, problem: outcome } : { ...described, volume: outcome.name, problem: undefined });
  }
  return mounts;
}

function depthOf(path: ByteString): number {
  return path.split("/").filter((name) => name !== "").length;
}

/** A folder that shows a second time must have been mounted before. */
function orderOf(line: FstabLine): number {
  const depth = depthOf(line.mountPoint);
  return isBind(line) ? Math.max(depth, depthOf(line.source)) : depth;
}

/** Mounts one line; returns why that is not possible. @param number the line's place in fstab, from 1 */
async function joinOne(joined: JoinedFileSystem, line: FstabLine, number: number, context: SourceContext): Promise<{ readonly name: string } | string> {
  if (line.options.includes("noauto")) return "the guest doesn't mount it by itself (noauto)";
  const from = isBind(line) ? await bindSource(joined, line) : await volumeSource(line, context);
  if (typeof from === "string") return from;
  const at = await walkPath<JoinedNode>(joined, joined.root, line.mountPoint);
  if (at === undefined) return "the mount point doesn't exist";
  if (at.attributes.type !== "directory") return "the mount point is no folder";
  const mount: Mount = { number, volume: from.name, fileSystem: from.fileSystem, root: from.folder };
  return joined.mount(at.names, mount) ? { name: from.name } : "an earlier line mounts there";
}

interface MountSource {
  readonly name: string;
  readonly fileSystem: FileSystem;
  readonly folder: unknown;
}

async function volumeSource(line: FstabLine, context: SourceContext): Promise<MountSource | string> {
  const found = findSource(line.source, context);
  if ("problem" in found) return found.problem;
  const { summary, fileSystem } = found.volume;
  if (fileSystem === undefined) return `/${summary.name} can't be read: ${summary.error?.detail ?? "nothing is known of it"}`;
  const mounted = await mountedFolder(fileSystem, line);
  return typeof mounted === "string" ? mounted : { name: summary.name, fileSystem, folder: mounted.folder };
}

/** A folder that shows a second time: itself, without what is mounted below it. */
async function bindSource(joined: JoinedFileSystem, { source }: FstabLine): Promise<MountSource | string> {
  const found = await walkPath<JoinedNode>(joined, joined.root, source);
  if (found === undefined || found.attributes.type !== "directory") return "the folder it shows doesn't exist";
  const { mount, node } = found.node;
  return { name: mount.volume, fileSystem: mount.fileSystem, folder: node };
}
