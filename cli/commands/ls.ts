import type { Entry, Mount, Volume } from "../api/types.ts";
import { print, printJson, withSession, type CommonOptions, type Session } from "../context.ts";
import { escapeBytes, escapeText } from "../names/escape.ts";
import { nameBytes } from "../names/guest-name.ts";
import { formatRemote, type Remote } from "../names/remote.ts";
import { formatBytes, formatMode, formatTable, formatTime } from "../output/format.ts";
import { formatBackups, vms } from "./catalog.ts";

export interface LsOptions extends CommonOptions {
  readonly long?: boolean;
  /** Raw names, each ended by a NUL. */
  readonly nul?: boolean;
}

/** What a name holds: a VM restore points, a restore point disks, a disk volumes, a folder entries. */
export async function ls(name: string | undefined, options: LsOptions, signal: AbortSignal): Promise<void> {
  if (name === undefined && options.vm === undefined && options.backup === undefined) return await vms(undefined, options, signal);
  await withSession(options, signal, async (session) => {
    const remote = session.parse(name ?? (options.backup === undefined ? "" : ":"));
    if (remote.disk === undefined && remote.point === undefined) await listPoints(session, remote);
    else if (remote.disk?.index === undefined) await listDisks(session, remote);
    else await listFolder(session, remote, options);
  });
}

async function listPoints({ catalog, json }: Session, remote: Remote): Promise<void> {
  const backups = await catalog.backups(remote.vm);
  if (json) await printJson({ kind: "points", remote: formatRemote(remote), backups });
  else await print(formatBackups(backups));
}

async function listDisks({ catalog, json }: Session, asked: Remote): Promise<void> {
  const { backup, remote } = await catalog.resolve(asked);
  if (json) return await printJson({ kind: "disks", remote: formatRemote({ ...remote, disk: undefined }), backup_id: backup.backup_id, disks: backup.disks });
  await print(
    formatTable(
      [{ title: "DISK", right: true }, { title: "SIZE", right: true }, { title: "STATE" }, { title: "FILE" }],
      backup.disks.map((disk) => [
        String(disk.disk_index),
        formatBytes(disk.size_bytes),
        disk.mount_id === undefined ? (disk.mountable ? "" : escapeText(disk.status)) : "open",
        escapeText(disk.qcow2_path ?? "-"),
      ]),
    ),
  );
}

async function listFolder(session: Session, asked: Remote, { long, nul }: LsOptions): Promise<void> {
  const resolved = await session.catalog.resolveDisk(asked);
  const { mount, browser } = await session.open(resolved);
  const { path } = resolved;
  if (path === "/" && nul !== true) return await listVolumes(session, resolved.remote, mount, await guestTrees(browser, mount));
  const entries: Entry[] = [];
  for await (const entry of await entriesOf(browser, path)) entries.push(entry);
  if (session.json) {
    const named = entries.map((entry) => ({ ...entry, remote: formatRemote({ ...resolved.remote, disk: { index: resolved.disk.disk_index, path: entry.path } }) }));
    return await printJson({ kind: "folder", remote: formatRemote(resolved.remote), path, entries: named });
  }
  if (nul === true) return await print(Buffer.concat(entries.flatMap((entry) => [nameBytes(entry.path), Buffer.alloc(1)])));
  await print(long === true ? formatLong(entries) : entries.map((entry) => `${shortLine(entry)}\n`).join(""));
}

/** A folder's entries; of a file the file itself, as `ls` does. */
async function entriesOf(browser: Awaited<ReturnType<Session["open"]>>["browser"], path: string): Promise<AsyncIterable<Entry> | Entry[]> {
  const info = await browser.info(path);
  return info.type === "directory" || info.type === "symlink" ? followed(browser, path, info) : [info];
}

/** A symlink to a folder shows what it holds, another itself. */
async function* followed(browser: Awaited<ReturnType<Session["open"]>>["browser"], path: string, info: Entry): AsyncGenerator<Entry> {
  try {
    yield* browser.entries(path);
  } catch (error) {
    if (info.type !== "symlink") throw error;
    yield info;
  }
}

/** The guests' own trees, which `/` lists beside the volumes: "/guest". */
async function guestTrees(browser: Awaited<ReturnType<Session["open"]>>["browser"], mount: Mount): Promise<string[]> {
  const volumes = new Set(mount.volumes.map((volume) => volume.path));
  const trees: string[] = [];
  for await (const { path } of browser.entries("/")) if (!volumes.has(path)) trees.push(path);
  return trees;
}

async function listVolumes({ json }: Session, remote: Remote, mount: Mount, guests: readonly string[]): Promise<void> {
  if (json) return await printJson({ kind: "volumes", remote: formatRemote(remote), backup_id: mount.backup_id, disk_index: mount.disk_index, volumes: mount.volumes, guests });
  await print(
    formatTable(
      [{ title: "VOLUME" }, { title: "TYPE" }, { title: "SIZE", right: true }, { title: "USED", right: true }, { title: "LABEL" }, { title: "STATE" }],
      mount.volumes.map((volume) => [
        escapeText(volume.path),
        escapeText(volume.filesystem_type ?? "-"),
        formatBytes(volume.size_bytes),
        formatBytes(volume.used_bytes),
        escapeText(volume.label ?? ""),
        volumeState(volume),
      ]).concat(guests.map((path) => [escapeText(path), "guest", "-", "-", "", "the volumes as the guest mounts them"])),
    ),
  );
}

function volumeState({ error, state }: Volume): string {
  return error === null ? (state ?? "") : `${error.code}: ${escapeText(error.detail)}`;
}

/** A name for people: folders end in a slash, what can't be read says so. */
export function shownName(entry: Entry): string {
  return `${escapeBytes(nameBytes(entry.path))}${entry.type === "directory" ? "/" : ""}`;
}

function shortLine(entry: Entry): string {
  return `${shownName(entry)}${errorOf(entry)}`;
}

function errorOf({ error }: Entry): string {
  return error === undefined ? "" : `  [${error.code}: ${escapeText(error.detail)}]`;
}

export function formatLong(entries: readonly Entry[]): string {
  const plain = { title: "" };
  return formatTable(
    [plain, { title: "", right: true }, { title: "", right: true }, { title: "", right: true }, plain, plain],
    entries.map((entry) => [
      formatMode(entry.type, entry.mode),
      entry.uid === null ? "-" : String(entry.uid),
      entry.gid === null ? "-" : String(entry.gid),
      String(entry.size ?? "-"),
      formatTime(entry.modified_at),
      `${shownName(entry)}${entry.symlink_target === undefined ? "" : ` -> ${escapeText(entry.symlink_target)}`}${errorOf(entry)}`,
    ]),
  );
}
