import type { Entry } from "../api/types.ts";
import { below, nameBytes, segmentBytes } from "../names/guest-name.ts";
import { formatRemote, type Remote } from "../names/remote.ts";
import { Failure } from "../output/failure.ts";
import type { ResolvedDisk } from "../api/resolve.ts";
import type { OpenDisk } from "./open-disk.ts";

/** One thing to bring here. */
export interface Task {
  readonly entry: Entry;
  /** Its place below the output folder. */
  readonly target: readonly Buffer[];
  /** Its whole remote name. */
  readonly remote: string;
  /** Of a volume: its bytes as the disk holds them. */
  readonly raw: boolean;
  /** Its size and times are those of a symlink's end, known when it is downloaded. */
  readonly isFollowed: boolean;
}

export interface PlanOptions {
  readonly raw: boolean;
  /** Names given that are symlinks stand for what they point to. */
  readonly follow: boolean;
}

/** What a remote name stands for: the thing itself, then all below it, parents first. */
export async function* planRemote(disk: OpenDisk, { remote, path, backup, disk: { disk_index } }: ResolvedDisk, options: PlanOptions): AsyncGenerator<Task> {
  const named = (at: string): string => formatRemote({ ...remote, disk: { index: disk_index, path: at } });
  const own = path === "/" ? Buffer.from(`${backup.vm_name.replace(/[/\0]/g, "_")}-disk-${disk_index}`) : nameBytes(path);
  if (options.raw) {
    yield { entry: rawEntry(disk, path, remote), target: [Buffer.concat([own, Buffer.from(".img")])], remote: named(path), raw: true, isFollowed: false };
    return;
  }
  const info = await disk.info(path);
  const end = info.type === "symlink" && options.follow ? await followed(disk, path, info) : info;
  yield { entry: end, target: [own], remote: named(path), raw: false, isFollowed: end !== info };
  if (end.type !== "directory") return;
  for await (const entry of disk.walk(path)) {
    const segments = below(entry.path, end.path);
    if (segments === undefined || segments.length === 0) throw new Failure("bad_answer", `The agent lists ${entry.path} in ${end.path}.`);
    yield { entry, target: [own, ...segments.map(segmentBytes)], remote: named(entry.path), raw: false, isFollowed: false };
  }
}

function rawEntry(disk: OpenDisk, path: string, remote: Remote): Entry {
  const volume = disk.mount.volumes.find((one) => one.path === path);
  if (volume === undefined) throw new Failure("path_not_found", `${formatRemote(remote)} is no volume.`, "--raw takes a volume, such as VM:0/p3.");
  return { name: volume.name, path, type: "file", size: null, mode: null, uid: null, gid: null, modified_at: null };
}

/** What a symlink points to: a folder by its real place, anything else as a file under the symlink's name. */
async function followed(disk: OpenDisk, path: string, link: Entry): Promise<Entry> {
  try {
    const { path: real } = await disk.list(path, { limit: "1" });
    return await disk.info(real);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "not_a_directory") throw error;
    return { name: link.name, path, type: "file", size: null, mode: null, uid: null, gid: null, modified_at: null };
  }
}
