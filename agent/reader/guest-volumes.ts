import { type ByteString, textToByteString } from "../filesystems/byte-string.ts";
import type { GuestVolume } from "../guest/guest-volume.ts";
import type { GuestMount } from "../guest/open-guests.ts";
import { openGuests } from "../guest/open-guests.ts";
import type { NodeError } from "./disk-reader.ts";
import type { OpenVolume } from "./open-volume.ts";
import { toNodeError } from "./reader-error.ts";

const baseName = "guest";
/** So many of the mounts that could not be joined are named in the entry's remark. */
const maxNamedProblems = 8;

/** What makes a volume the guest's own tree. */
export interface GuestTree {
  /** The volume that holds the fstab. */
  readonly root: string;
  readonly mounts: readonly GuestMount[];
}

/**
 * The trees that the disk's fstabs describe, as volumes beside the disk's own: "guest", then "guest-2" …
 * A name that a volume has already is passed over.
 */
export async function openGuestVolumes(volumes: readonly OpenVolume[]): Promise<OpenVolume[]> {
  const guests = await openGuests(volumes.map(toGuestVolume));
  const taken = new Set<ByteString>(volumes.map((volume) => volume.name));
  return guests.map((guest) => {
    const name = freeName(taken);
    taken.add(name);
    const root = guest.root.summary.name;
    const summary = { ...guest.root.summary, name, path: `/${name}` };
    if ("error" in guest) {
      const { code, detail } = toNodeError(guest.error, `/${root}/etc/fstab`);
      return { readable: false, name, summary, error: { code, detail: `/${root}/etc/fstab: ${detail}` }, guest: { root, mounts: [] } };
    }
    const { fileSystem, mounts } = guest;
    return { readable: true, name: textToByteString(name), fileSystem, summary, error: remarkOn(mounts), guest: { root, mounts } };
  });
}

function toGuestVolume(volume: OpenVolume): GuestVolume {
  if (volume.readable) return { summary: volume.summary, fileSystem: volume.fileSystem };
  return { summary: volume.summary, fileSystem: undefined, ...(volume.partOf === undefined ? {} : { partOf: volume.partOf }) };
}

function freeName(taken: ReadonlySet<ByteString>): string {
  let name = baseName;
  for (let number = 2; taken.has(name); number += 1) name = `${baseName}-${number}`;
  return name;
}

/** Lines that the guest itself passes over are no remark. */
function remarkOn(mounts: readonly GuestMount[]): NodeError | undefined {
  const missing = mounts.filter(({ problem, options }) => problem !== undefined && !options.split(",").includes("noauto"));
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, maxNamedProblems).map(({ source, mountPoint, problem }) => `${mountPoint} (${source}: ${problem})`);
  const more = missing.length > named.length ? ` and ${missing.length - named.length} more` : "";
  return { code: "unsupported", detail: `Not as the guest mounts it: ${named.join("; ")}${more}. Volumes on other disks of the backup are not joined.` };
}
