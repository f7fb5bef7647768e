import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes } from "../filesystems/filesystem.ts";
import type { VolumeError, WalkEntry } from "./disk-reader.ts";

/** Names of one file that are remembered; beyond it a further name is given as a file of its own, which is true as well. */
const maxRememberedLinks = 500_000;

/** The first name of each file that has several. */
export class HardLinks {
  readonly #first = new Map<string, { readonly path: readonly ByteString[]; left: number }>();
  /** Why files could not be given, by their first name. */
  readonly #failed = new Map<string, VolumeError>();

  /** The path already given for this file; undefined when this is its first. */
  targetOf(volume: ByteString, attributes: Attributes, path: readonly ByteString[]): readonly ByteString[] | undefined {
    if (attributes.type !== "file" || attributes.linkCount < 2 || attributes.contentError !== undefined) return undefined;
    const key = `${volume}\0${typeof attributes.id}${attributes.id}`;
    const known = this.#first.get(key);
    if (known === undefined) {
      if (this.#first.size < maxRememberedLinks) this.#first.set(key, { path, left: attributes.linkCount - 1 });
      return undefined;
    }
    known.left -= 1;
    if (known.left === 0) this.#first.delete(key);
    return known.path;
  }

  /** The entry; a further name of a file that could not be given can't be read either. */
  checked(entry: WalkEntry): WalkEntry {
    if (entry.hardLinkOf !== undefined) {
      const error = this.#failed.get(entry.hardLinkOf.join("/"));
      if (error === undefined) return entry;
      const { hardLinkOf: _, ...rest } = entry;
      return { ...rest, error };
    }
    if (entry.error !== undefined && entry.type === "file" && this.#failed.size < maxRememberedLinks) this.#failed.set(entry.path.join("/"), entry.error);
    return entry;
  }
}
