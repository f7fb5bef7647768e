import { constants, type Stats } from "node:fs";
import { link, lstat, lutimes, open, readlink, rename, rm, symlink, lchown } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { escapeText } from "../names/escape.ts";
import { Failure } from "../output/failure.ts";
import { looksThere, setAttributes, toSeconds } from "./attributes.ts";
import { downloadFile } from "./download-file.ts";
import type { OpenDisk } from "./open-disk.ts";
import { assertGuestName, codeOf, toNameFailure, type OutputFolder } from "./output-folder.ts";
import { exists, PartFile, sha256Of, withoutHardLinks, type FileIdentity } from "./part-file.ts";
import type { Task } from "./plan.ts";

export interface FetchOptions {
  readonly force: boolean;
  readonly owner: boolean;
  readonly verify: boolean;
  readonly retries: number;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
  readonly onRetry: (task: Task, failure: Failure) => void;
  /** Whether an error ends the whole run. */
  readonly isFatal: (error: unknown) => boolean;
}

export interface Fetched {
  readonly result: "downloaded" | "resumed" | "present" | "hard-link" | "symlink" | "folder" | "skipped";
  readonly sizeBytes: number;
  readonly sha256?: string;
  /** Why it was skipped. */
  readonly reason?: string;
}

/** What this run has made: nothing of it is overwritten by something else of the same run. */
export class Made {
  readonly #byIdentity = new Map<string, string>();

  add({ dev, ino }: FileIdentity, remote: string): void {
    this.#byIdentity.set(`${dev}:${ino}`, remote);
  }

  /** @throws Failure name_clash when it came from another remote name */
  assertOther({ dev, ino }: FileIdentity, task: Task, shown: string): void {
    const other = this.#byIdentity.get(`${dev}:${ino}`);
    if (other !== undefined && other !== task.remote) throw new Failure("name_clash", `${shown} came from ${escapeText(other)} in this run.`);
  }

  has({ dev, ino }: FileIdentity): boolean {
    return this.#byIdentity.has(`${dev}:${ino}`);
  }
}

/** Files that came, by their version: further names of the same file become hard links. */
export type Versions = Map<string, { readonly task: Task; readonly done: Promise<boolean> }>;

export interface FetchContext {
  readonly disk: OpenDisk;
  readonly output: OutputFolder;
  readonly made: Made;
  readonly versions: Versions;
  readonly options: FetchOptions;
}

/** Brings a file or symlink to its place. Folders: prepareFolder. */
export async function fetchTask(context: FetchContext, task: Task): Promise<Fetched> {
  const name = task.target.at(-1) ?? Buffer.alloc(0);
  for (const part of task.target) assertGuestName(part);
  const { entry } = task;
  if (entry.error !== undefined && entry.error.code !== undefined) throw new Failure(entry.error.code as Failure["code"], entry.error.detail);
  if (entry.type === "other") return { result: "skipped", sizeBytes: 0, reason: "a device, pipe or socket has nothing in it" };
  return await context.output.within(task.target.slice(0, -1), async (folder) =>
    entry.type === "symlink" ? await makeSymlink(context, task, folder, name) : await fetchFile(context, task, folder, name),
  );
}

/** Makes a folder; its mode and times come when all that is in it is there. */
export async function prepareFolder({ output, made }: FetchContext, task: Task): Promise<void> {
  for (const part of task.target) assertGuestName(part);
  await output.within(task.target, async (folder) => {
    const found = await folder.handle.stat();
    made.assertOther(found, task, folder.shown);
    made.add(found, task.remote);
    // So that an earlier run's mode doesn't keep this one out.
    if ((found.mode & 0o700) !== 0o700) await folder.handle.chmod(found.mode | 0o700);
  });
}

export async function finishFolder({ output, options }: FetchContext, task: Task): Promise<void> {
  await output.within(task.target, async (folder) => await setAttributes(folder.handle, task.entry, options, 0o777));
}

async function makeSymlink({ made, options }: FetchContext, { entry, remote }: Task, folder: OutputFolder, name: Buffer): Promise<Fetched> {
  const target = entry.symlink_target ?? "";
  const shown = folder.describe(name);
  // Shown with U+FFFD: the exact bytes are not in the listing.
  if (target === "" || target.includes("\u{fffd}") || target.includes("\0")) throw new Failure("not_representable", `The target of ${shown} is not UTF-8.`);
  const path = folder.at(name);
  const draft = folder.at(Buffer.from(`.${randomBytes(6).toString("hex")}.pluck-part`));
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSymbolicLink() === true && (await readlink(path)) === target) return { result: "present", sizeBytes: 0 };
  if (found !== undefined) {
    made.assertOther(found, { entry, remote, target: [], raw: false, isFollowed: false }, shown);
    if (!options.force || found.isDirectory()) throw exists(shown);
  }
  const at = found === undefined ? path : draft;
  try {
    await symlink(target, at);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw exists(shown);
    if (codeOf(error) === "EPERM") throw new Failure("not_representable", `The filesystem here has no symlinks: ${shown}.`);
    throw toNameFailure(error, shown);
  }
  if (options.owner && entry.uid !== null && entry.gid !== null) await lchown(at, entry.uid, entry.gid);
  const modified = toSeconds(entry.modified_at);
  if (modified !== undefined) await lutimes(at, modified, modified);
  if (at === draft) await rename(draft, path).catch(async (error: unknown) => {
    await rm(draft, { force: true });
    throw error;
  });
  made.add(await lstat(path), remote);
  return { result: "symlink", sizeBytes: 0 };
}

async function fetchFile(context: FetchContext, task: Task, folder: OutputFolder, name: Buffer): Promise<Fetched> {
  const { disk, made, options } = context;
  const { entry } = task;
  const shown = folder.describe(name);
  const present = await findPresent(context, task, folder, name);
  if (present !== undefined) return present;
  const sizeBytes = entry.size === null ? undefined : Number(entry.size);
  const part = await PartFile.open(folder, name);
  const claim: Claim = { settle: () => undefined };
  try {
    const got = await downloadFile(
      part,
      { url: async () => await disk.downloadUrl(entry.path, task.raw), sizeBytes, shown: escapeText(task.remote), recover: async (failure) => await disk.recover(failure) },
      {
        retries: options.retries,
        signal: options.signal,
        onBytes: options.onBytes,
        onRetry: (failure) => options.onRetry(task, failure),
        onVersion: async (etag) => await linkTwin(context, task, folder, name, etag, claim),
      },
    );
    if (got.isElsewhere) {
      options.onBytes(got.sizeBytes);
      await part.discard();
      return { result: "hard-link", sizeBytes: got.sizeBytes };
    }
    const sha256 = options.verify && !task.raw ? await verify(context, task, part) : undefined;
    const attributes = task.isFollowed ? { ...entry, modified_at: toIsoTime(got.lastModified) } : entry;
    const identity = await part.finish({
      force: options.force,
      onReplace: (found) => made.assertOther(found, task, shown),
      setAttributes: async (handle) => await setAttributes(handle, attributes, options, 0o666),
    });
    made.add(identity, task.remote);
    claim.settle(true);
    return { result: got.resumedBytes > 0 ? "resumed" : "downloaded", sizeBytes: got.sizeBytes, ...(sha256 === undefined ? {} : { sha256 }) };
  } finally {
    claim.settle(false);
    await part.close();
  }
}

interface Claim {
  /** Tells those who wait for this file whether it came. */
  settle: (came: boolean) => void;
}

/**
 * Whether what has the name looks like the file that is to come.
 * @throws Failure when it can't make way, whatever the options
 */
export function isPresent(found: Stats, made: Made, task: Task, shown: string): boolean {
  const isThere = looksThere(found, task.entry);
  // Another name of a file of this run is no clash when it is a hard link, which an earlier run made.
  if (!isThere || found.nlink < 2) made.assertOther(found, task, shown);
  if (found.isDirectory()) throw new Failure("file_exists", `${shown} is a folder, and in the way of a file.`);
  return isThere;
}

/** A file that an earlier run brought, by size and time; with verify by its contents. @throws Failure when another is in the way */
async function findPresent({ disk, made, options }: FetchContext, task: Task, folder: OutputFolder, name: Buffer): Promise<Fetched | undefined> {
  const path = folder.at(name);
  const found = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw toNameFailure(error, folder.describe(name));
  });
  if (found === undefined) return undefined;
  const shown = folder.describe(name);
  const isThere = isPresent(found, made, task, shown);
  if (isThere) {
    const sha256 = options.verify ? (await disk.info(task.entry.path, { hash: "sha256" })).sha256 : undefined;
    if (sha256 === undefined || sha256 === (await hashOf(path))) {
      options.onBytes(found.size);
      made.add(found, task.remote);
      return { result: "present", sizeBytes: found.size, ...(sha256 === undefined ? {} : { sha256 }) };
    }
  }
  if (!options.force) throw exists(shown);
  return undefined;
}

async function hashOf(path: Buffer): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await sha256Of(handle);
  } finally {
    await handle.close();
  }
}

async function verify({ disk }: FetchContext, { entry, remote }: Task, part: PartFile): Promise<string> {
  const { sha256 } = await disk.info(entry.path, { hash: "sha256" });
  const own = await part.sha256();
  if (sha256 === own) return own;
  if (sha256 === undefined) throw new Failure("unsupported", "The agent gives no hashes; it is of an older version.", "Leave --verify out.");
  await part.discard();
  throw new Failure("hash_mismatch", `What came of ${escapeText(remote)} has SHA-256 ${own}; the agent says ${sha256}.`);
}

/**
 * Where another name of the same file came already, or is on its way, this becomes a hard link to it.
 * The same version alone is not enough: filesystems without hard links may give one id to many files.
 */
async function linkTwin(context: FetchContext, task: Task, folder: OutputFolder, name: Buffer, etag: string, claim: Claim): Promise<boolean> {
  const { versions, disk, output, made, options } = context;
  const twin = versions.get(etag);
  if (twin === undefined || twin.task === task) {
    if (twin === undefined) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      claim.settle = resolve;
      versions.set(etag, { task, done: promise });
    }
    return false;
  }
  if (task.raw || !(await twin.done)) return false;
  if (((await disk.info(task.entry.path)).hard_links ?? 1) < 2) return false;
  const from = twin.task.target;
  return await output.within(from.slice(0, -1), async (twinFolder) => {
    const path = folder.at(name);
    const twinPath = twinFolder.at(from.at(-1) ?? Buffer.alloc(0));
    const found = await lstat(twinPath).catch(() => undefined);
    if (found === undefined || !made.has(found)) return false;
    if (options.force) await rm(path, { force: true });
    try {
      await link(twinPath, path);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") throw exists(folder.describe(name));
      // No hard links here, or no more of them: a copy it is.
      if (withoutHardLinks.has(codeOf(error) ?? "")) return false;
      throw error;
    }
  });
}

function toIsoTime(httpDate: string | null): string | null {
  const time = httpDate === null ? Number.NaN : Date.parse(httpDate);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}
