import type { DiskError } from "../blocks/disk-error.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes, DirectoryEntry, FileSystem } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath, nameCandidates } from "../../shared/guest-path.ts";
import type { PathRequest } from "./disk-reader.ts";
import { statOne } from "./node.ts";
import type { OpenVolume, ReadableVolume, UnreadableVolume } from "./open-volume.ts";
import { toReaderError } from "./reader-error.ts";

/** Symlinks followed in one path; Linux has the same bound (MAXSYMLINKS). */
const maxSymlinks = 40;
/** Longer link targets are not followed; Linux allows 4095 bytes, NTFS 32 KiB. */
const maxTargetLength = 65_536;

/** Where a path leads. */
export type Place =
  /** "/", which lists the volumes. */
  | { readonly kind: "top" }
  | { readonly kind: "unreadable"; readonly volume: UnreadableVolume }
  | NodePlace;

export interface NodePlace {
  readonly kind: "node";
  readonly volume: ReadableVolume;
  /** From the mount's root, the volume first, as the disk spells them; no symlink among the folders. */
  readonly path: readonly ByteString[];
  readonly node: unknown;
  readonly attributes: Attributes;
  /** What is wrong with its entry in the folder above. */
  readonly entryError: DiskError | undefined;
  /** Ids of the folder itself (when it is one) and of those above it, for finding loops. */
  readonly ancestorIds: readonly (number | string)[];
}

/** A name still to be looked up: as written in a request, or bytes out of a symlink. */
type Pending = { readonly segment: string } | { readonly name: ByteString };

interface Step {
  readonly name: ByteString;
  readonly node: unknown;
  readonly attributes: Attributes;
  readonly entryError: DiskError | undefined;
}

/**
 * Follows a path through the disk. Symlinks lead where they would lead in a chroot at their volume's
 * root; `..` goes up the real tree and stops at that root; no link leaves the volume.
 *
 * @throws PluckError path_not_found, not_a_directory, forbidden when the path leaves what
 * `withinDepth` grants; corrupt, unsupported and io_error stay what they are.
 */
export async function resolvePath(volumes: readonly OpenVolume[], request: PathRequest, followLast: boolean): Promise<Place> {
  const [first, ...rest] = request.segments;
  if (first === undefined) return { kind: "top" };
  const volume = findVolume(volumes, first);
  if (volume === undefined) {
    throw new PluckError("path_not_found", `There is no volume ${JSON.stringify(first)}; there are: ${volumes.map((known) => known.name).join(", ") || "none"}.`);
  }
  if (!volume.readable) {
    if (rest.length === 0) return { kind: "unreadable", volume };
    throw new PluckError(volume.error.code, volume.error.detail);
  }
  const trail = await Trail.start(volume);
  const grantedDepth = Math.min(Math.max(request.withinDepth - 1, 0), rest.length);
  const granted = rest.slice(0, grantedDepth);
  const beyond = rest.slice(grantedDepth);
  // What a link grants may itself be a symlink: then it grants what that leads to.
  await trail.follow(granted, followLast || beyond.length > 0);
  const prefix = trail.names();
  if (beyond.length > 0) {
    await trail.follow(beyond, followLast);
    const names = trail.names();
    if (!prefix.every((name, index) => names[index] === name)) {
      throw new PluckError("forbidden", "A symlink on this path leads out of the folder that the link grants.");
    }
  }
  return trail.place();
}

export function findVolume(volumes: readonly OpenVolume[], segment: string): OpenVolume | undefined {
  for (const candidate of nameCandidates(segment)) {
    const volume = volumes.find((known) => known.name === candidate);
    if (volume !== undefined) return volume;
  }
  return undefined;
}

/** The folders from a volume's root down to where the path has come. */
class Trail {
  readonly #volume: ReadableVolume;
  readonly #fileSystem: FileSystem;
  readonly #root: Step;
  readonly #steps: Step[] = [];
  #symlinks = 0;

  private constructor(volume: ReadableVolume, root: Step) {
    this.#volume = volume;
    this.#fileSystem = volume.fileSystem;
    this.#root = root;
  }

  static async start(volume: ReadableVolume): Promise<Trail> {
    const { root } = volume.fileSystem;
    const attributes = await statOne(volume.fileSystem, root, `the root folder of ${volume.name}`);
    return new Trail(volume, { name: volume.name, node: root, attributes, entryError: undefined });
  }

  names(): ByteString[] {
    return this.#steps.map((step) => step.name);
  }

  place(): NodePlace {
    const { node, attributes, entryError } = this.#last();
    return {
      kind: "node",
      volume: this.#volume,
      path: [this.#volume.name, ...this.names()],
      node,
      attributes,
      entryError,
      ancestorIds: [this.#root, ...this.#steps].filter((step) => step.attributes.type === "directory").map((step) => step.attributes.id),
    };
  }

  async follow(segments: readonly string[], followLast: boolean): Promise<void> {
    const pending: Pending[] = segments.map((segment) => ({ segment })).reverse();
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if ("name" in next && next.name === ".") {
        this.#assertFolder();
        continue;
      }
      if ("name" in next && next.name === "..") {
        this.#assertFolder();
        this.#steps.pop();
        continue;
      }
      const step = await this.#lookup(next);
      if (step.attributes.type === "symlink" && (followLast || pending.length > 0)) {
        await this.#enterSymlink(step, pending);
      } else this.#steps.push(step);
    }
  }

  async #lookup(next: Pending): Promise<Step> {
    this.#assertFolder();
    const candidates = "name" in next ? [next.name] : nameCandidates(next.segment);
    const reading = `looking up ${JSON.stringify(candidates[0])} in ${formatGuestPath(this.place().path)}`;
    for (const name of candidates) {
      let entry: DirectoryEntry<unknown> | undefined;
      try {
        entry = await this.#fileSystem.lookup(this.#last().node, name);
      } catch (error) {
        throw toReaderError(error, reading);
      }
      if (entry === undefined) continue;
      const attributes = await statOne(this.#fileSystem, entry.node, reading);
      return { name: entry.name, node: entry.node, attributes, entryError: entry.error };
    }
    const wanted = formatGuestPath([...this.place().path, candidates[0] ?? ""]);
    throw new PluckError("path_not_found", `${wanted} does not exist.`);
  }

  async #enterSymlink(link: Step, pending: Pending[]): Promise<void> {
    const path = formatGuestPath([...this.place().path, link.name]);
    this.#symlinks += 1;
    if (this.#symlinks > maxSymlinks) throw new PluckError("path_not_found", `${path}: too many symlinks (more than ${maxSymlinks}).`);
    let target: ByteString;
    try {
      if (link.attributes.contentError !== undefined) throw link.attributes.contentError;
      target = await this.#fileSystem.readLink(link.node);
    } catch (error) {
      throw toReaderError(error, `the target of the symlink ${path}`);
    }
    if (target.length > maxTargetLength) {
      throw new PluckError("corrupt", `${path}: the symlink's target has ${target.length} bytes, at most ${maxTargetLength} are followed.`);
    }
    if (target === "") throw new PluckError("path_not_found", `${path} is a symlink with an empty target.`);
    if (target.startsWith("/")) this.#steps.length = 0;
    const names = target.split("/").filter((name) => name !== "");
    for (const name of names.reverse()) pending.push({ name });
  }

  #assertFolder(): void {
    if (this.#last().attributes.type === "directory") return;
    throw new PluckError("not_a_directory", `${formatGuestPath(this.place().path)} is not a folder.`);
  }

  #last(): Step {
    return this.#steps.at(-1) ?? this.#root;
  }
}
