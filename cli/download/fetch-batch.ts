import { closeSync, constants, fstatSync, linkSync, lstatSync, openSync, renameSync, rmSync, writeFileSync, type Stats } from "node:fs";
import { Parser, type ReadEntry } from "tar";
import { segmentBytes, segmentsOf } from "../names/guest-name.ts";
import { setAttributesSync } from "./attributes.ts";
import { isPresent, type FetchContext, type Fetched } from "./fetch-task.ts";
import { assertGuestName, codeOf, toNameFailure, type OutputFolder } from "./output-folder.ts";
import { exists, partName, withoutHardLinks } from "./part-file.ts";
import type { Task } from "./plan.ts";

/** A file that takes longer to ask for than to send. */
const smallFileBytes = 256 * 1024;
const maxFiles = 500;
const maxBatchBytes = 8 * 1024 * 1024;

/**
 * Whether it may come in a batch: a small plain file of one name. Files of several names come one by
 * one, where they are known again by their version; names that are not UTF-8 too, as tar's are text here.
 */
export function isForBatch({ entry, raw, isFollowed }: Task): boolean {
  return !raw && !isFollowed && entry.type === "file" && entry.error === undefined && typeof entry.size === "number" && entry.size <= smallFileBytes && (entry.hard_links ?? 1) < 2 && isText(entry.path);
}

/** Gathers small files of the same stretch of a folder; everything else passes by them, alone. */
export async function* toBatches(tasks: AsyncIterable<Task>, mayBatch: boolean): AsyncGenerator<readonly Task[]> {
  let batch: Task[] = [];
  let bytes = 0;
  for await (const task of tasks) {
    if (!mayBatch || !isForBatch(task)) {
      yield [task];
      continue;
    }
    batch.push(task);
    bytes += Number(task.entry.size);
    if (batch.length < maxFiles && bytes < maxBatchBytes) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

export interface BatchReport {
  readonly done: (task: Task, fetched: Fetched) => Promise<void>;
  readonly failed: (task: Task, error: unknown) => Promise<void>;
}

/**
 * Brings many small files by one archive: one request instead of two for each. Whatever is in its way
 * (a file that can't be read, a connection that breaks), the files that did not come are given back.
 * @returns what is still to be fetched, one by one
 */
export async function fetchBatch(context: FetchContext, tasks: readonly Task[], report: BatchReport): Promise<readonly Task[]> {
  const missing = new Map<string, Task>();
  await inFolders(context, tasks, async (folder, task) => {
    const there = presentIn(context, folder, task);
    if (there === undefined) missing.set(task.remote, task);
    else await report.done(task, there);
  }, report);
  const wanted = [...missing.values()];
  if (wanted.length < 2) return wanted;
  const byName = new Map(namesInArchive(wanted));
  try {
    for await (const files of unpack(await context.disk.openArchive(wanted.map(({ entry }) => entry.path)))) {
      const came = new Map<Task, Buffer>();
      for (const [name, bytes] of files) {
        const task = byName.get(name);
        if (task === undefined || bytes.length !== task.entry.size || !missing.delete(task.remote)) continue;
        came.set(task, bytes);
        context.options.onBytes(bytes.length);
      }
      await inFolders(context, [...came.keys()], async (folder, task) => await report.done(task, place(context, folder, task, came.get(task) ?? Buffer.alloc(0))), report);
    }
  } catch (error) {
    context.options.signal.throwIfAborted();
    // What failed here is asked for again, and says then what is wrong. What we report is no matter of the archive.
    if (context.options.isFatal(error)) throw error;
  }
  return [...missing.values()];
}

/** Runs work for each task in its folder, which stays open as long as the next lies in it too. */
async function inFolders({ output }: FetchContext, tasks: readonly Task[], work: (folder: OutputFolder, task: Task) => Promise<void>, report: BatchReport): Promise<void> {
  for (let index = 0; index < tasks.length; ) {
    const parent = tasks[index]?.target.slice(0, -1) ?? [];
    let end = index + 1;
    while (end < tasks.length && isSame(tasks[end]?.target.slice(0, -1) ?? [], parent)) end += 1;
    const together = tasks.slice(index, end);
    const handled = new Set<Task>();
    try {
      for (const part of parent) assertGuestName(part);
      await output.within(parent, async (folder) => {
        for (const task of together) {
          handled.add(task);
          try {
            assertGuestName(nameOf(task));
            await work(folder, task);
          } catch (error) {
            await report.failed(task, error);
          }
        }
      });
    } catch (error) {
      for (const task of together) if (!handled.has(task)) await report.failed(task, error);
      if (handled.size > 0) throw error;
    }
    index = end;
  }
}

/** What the file system has under the name. Calls that wait: for small files they cost less than those that don't. */
function presentIn({ made, options }: FetchContext, folder: OutputFolder, task: Task): Fetched | undefined {
  const shown = folder.describe(nameOf(task));
  const found = foundAt(folder.at(nameOf(task)), shown);
  if (found === undefined) return undefined;
  if (isPresent(found, made, task, shown)) {
    options.onBytes(found.size);
    made.add(found, task.remote);
    return { result: "present", sizeBytes: found.size };
  }
  if (!options.force) throw exists(shown);
  return undefined;
}

/** A whole file at once: under its name only when it is whole. */
function place({ made, options }: FetchContext, folder: OutputFolder, task: Task, bytes: Uint8Array): Fetched {
  const name = nameOf(task);
  const shown = folder.describe(name);
  const target = folder.at(name);
  const draft = folder.at(partName(name));
  const draftFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    // What an earlier run left of it is of no use any more.
    rmSync(draft, { force: true });
    rmSync(folder.at(Buffer.concat([partName(name), Buffer.from(".etag")])), { force: true });
    const file = openSync(draft, draftFlags, 0o600);
    let identity: Stats;
    try {
      writeFileSync(file, bytes);
      setAttributesSync(file, task.entry, options, 0o666);
      identity = fstatSync(file);
    } finally {
      closeSync(file);
    }
    if (options.force) {
      const found = foundAt(target, shown);
      if (found !== undefined) made.assertOther(found, task, shown);
      renameSync(draft, target);
    } else {
      linkOrRename(draft, target, shown);
    }
    made.add(identity, task.remote);
    return { result: "downloaded", sizeBytes: bytes.length };
  } catch (error) {
    rmSync(draft, { force: true });
    throw toNameFailure(error, shown);
  }
}

/** rename, but never over something. */
function linkOrRename(draft: Buffer, target: Buffer, shown: string): void {
  try {
    linkSync(draft, target);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw exists(shown);
    if (!withoutHardLinks.has(codeOf(error) ?? "")) throw error;
    if (foundAt(target, shown) !== undefined) throw exists(shown);
    renameSync(draft, target);
    return;
  }
  rmSync(draft);
}

function foundAt(path: Buffer, shown: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw toNameFailure(error, shown);
  }
}

function nameOf({ target }: Task): Buffer {
  return target.at(-1) ?? Buffer.alloc(0);
}

function isSame(one: readonly Buffer[], other: readonly Buffer[]): boolean {
  return one.length === other.length && one.every((part, index) => other[index]?.equals(part) === true);
}

/** What each is called in the archive: its path below the deepest folder that holds them all. */
function* namesInArchive(tasks: readonly Task[]): Generator<[string, Task]> {
  const paths = tasks.map(({ entry }) => segmentsOf(entry.path));
  const [first = []] = paths;
  let depth = first.length - 1;
  for (const path of paths) {
    let same = 0;
    while (same < depth && same < path.length - 1 && path[same] === first[same]) same += 1;
    depth = same;
  }
  for (const [index, task] of tasks.entries()) yield [(paths[index] ?? []).slice(depth).map((segment) => segmentBytes(segment).toString("utf8")).join("/"), task];
}

/** Files of a tar as they come. Nothing is written by the library: it only reads the format. */
async function* unpack(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<[string, Buffer][]> {
  const files: [string, Buffer][] = [];
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry: ReadEntry) => {
      const parts: Buffer[] = [];
      entry.on("data", (part: Buffer) => parts.push(part));
      entry.on("end", () => {
        if (entry.type === "File" || entry.type === "OldFile") files.push([entry.path, Buffer.concat(parts)]);
      });
    },
  });
  let problem: Error | undefined;
  parser.on("error", (error: Error) => (problem ??= error));
  for await (const chunk of chunks) {
    parser.write(Buffer.from(chunk));
    if (problem !== undefined) throw problem;
    if (files.length > 0) yield files.splice(0);
  }
  const ended = new Promise<void>((resolve) => parser.on("end", resolve));
  parser.end();
  await ended;
  if (problem !== undefined) throw problem;
  if (files.length > 0) yield files.splice(0);
}

function isText(path: string): boolean {
  return segmentsOf(path).every((segment) => {
    const bytes = segmentBytes(segment);
    return Buffer.from(bytes.toString("utf8")).equals(bytes);
  });
}
