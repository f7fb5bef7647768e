import type { ResolvedDisk } from "../api/resolve.ts";
import { print, printJsonLine, withSession, type CommonOptions, type Session } from "../context.ts";
import { fetchTask, finishFolder, Made, prepareFolder, type FetchContext, type Fetched, type Versions } from "../download/fetch-task.ts";
import { fetchBatch, toBatches } from "../download/fetch-batch.ts";
import { OpenDisk } from "../download/open-disk.ts";
import { OutputFolder } from "../download/output-folder.ts";
import { planRemote, type Task } from "../download/plan.ts";
import { runPool } from "../download/pool.ts";
import { escapeSentence, escapeText } from "../names/escape.ts";
import { formatRemote } from "../names/remote.ts";
import { exitCodes, Failure, toFailure } from "../output/failure.ts";
import { count, formatBytes, formatDuration } from "../output/format.ts";
import { Progress } from "../output/progress.ts";

export interface GetOptions extends CommonOptions {
  readonly output: string;
  readonly jobs: number;
  readonly force?: boolean;
  readonly owner?: boolean;
  readonly verify?: string;
  readonly follow?: boolean;
  readonly raw?: boolean;
  readonly retries: number;
  readonly wait: number;
  readonly quiet?: boolean;
}

/** Errors after which going on makes no sense: the disk here is full, the other side is gone. */
const fatal: ReadonlySet<string> = new Set<Failure["code"]>(["unreachable", "unauthenticated", "agent_offline", "database_unavailable"]);
const fatalSystem: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EROFS", "EMFILE"]);

/** Downloads files and folders; returns the exit code. */
export async function get(names: readonly string[], options: GetOptions, signal: AbortSignal): Promise<number> {
  if (options.owner === true && process.getuid?.() !== 0) throw new Failure("usage", "--owner needs root.", "Leave it out, or run as root.");
  return await withSession(options, signal, async (session) => await new Run(session, options).all(names));
}

class Run {
  readonly #session: Session;
  readonly #options: GetOptions;
  readonly #progress: Progress;
  readonly #made = new Made();
  readonly #counts: Record<Fetched["result"], number> = { downloaded: 0, resumed: 0, present: 0, "hard-link": 0, symlink: 0, folder: 0, skipped: 0 };
  readonly #failures: { remote: string; failure: Failure }[] = [];
  #bytes = 0;

  constructor(session: Session, options: GetOptions) {
    this.#session = session;
    this.#options = options;
    this.#progress = new Progress(process.stderr.isTTY && options.json !== true && options.quiet !== true);
  }

  async all(names: readonly string[]): Promise<number> {
    const output = await OutputFolder.openTop(this.#options.output);
    try {
      for (const group of await this.#resolve(names)) await this.#group(group, output);
      return await this.#conclude();
    } finally {
      this.#progress.stop();
      await output.close();
    }
  }

  /** By disk: each is opened once, and ended before the next. */
  async #resolve(names: readonly string[]): Promise<ResolvedDisk[][]> {
    const groups = new Map<string, ResolvedDisk[]>();
    for (const name of names) {
      try {
        const resolved = await this.#session.resolve(name);
        const key = `${resolved.backup.backup_id}\0${resolved.disk.disk_index}`;
        groups.set(key, [...(groups.get(key) ?? []), resolved]);
      } catch (error) {
        await this.#failed(name, error);
      }
    }
    return [...groups.values()];
  }

  async #group(group: readonly ResolvedDisk[], output: OutputFolder): Promise<void> {
    let disk: OpenDisk;
    const [first] = group;
    if (first === undefined) return;
    try {
      disk = await OpenDisk.open(this.#session, first, { retries: this.#options.retries, waitS: this.#options.wait });
    } catch (error) {
      for (const { remote } of group) await this.#failed(formatRemote(remote), error);
      return;
    }
    const folders: Task[] = [];
    const versions: Versions = new Map();
    const { signal } = this.#session;
    const context: FetchContext = {
      disk,
      output,
      made: this.#made,
      versions,
      options: {
        force: this.#options.force === true,
        owner: this.#options.owner === true,
        verify: this.#options.verify !== undefined,
        retries: this.#options.retries,
        signal,
        isFatal: (error) => this.#failures.some(({ failure }) => failure === error) && isFatal(error),
        onBytes: (bytes) => this.#progress.addBytes(bytes),
        onRetry: (task, failure) => this.#say(`${escapeText(task.remote)}: ${failure.code}: ${failure.message} Trying again.`),
      },
    };
    try {
      // With --verify each file is asked for its hash anyway.
      const batches = toBatches(this.#plan(disk, group, context, folders), this.#options.verify === undefined);
      await runPool(batches, this.#options.jobs, async (tasks) => await this.#fetchAll(context, tasks), signal);
    } finally {
      // Also of what could not be completed: deepest first, for a change inside changes a folder's time.
      for (const task of folders.toReversed()) await finishFolder(context, task).catch(() => undefined);
      if (!signal.aborted) await disk.end();
    }
  }

  /** The files and symlinks to fetch; folders are made on the way. */
  async *#plan(disk: OpenDisk, group: readonly ResolvedDisk[], context: FetchContext, folders: Task[]): AsyncGenerator<Task> {
    for (const resolved of group) {
      const unusable: Buffer[][] = [];
      try {
        for await (const task of planRemote(disk, resolved, { raw: this.#options.raw === true, follow: this.#options.follow === true })) {
          if (unusable.some((above) => isBelow(task.target, above))) continue;
          if (task.entry.type !== "directory") {
            if (task.entry.type === "file") this.#progress.addTotal(Number(task.entry.size ?? 0));
            yield task;
          } else if (!(await this.#folder(context, task, folders))) {
            unusable.push([...task.target]);
          }
        }
      } catch (error) {
        await this.#failed(formatRemote(resolved.remote), error);
      }
    }
    this.#progress.totalKnown();
  }

  /** @returns whether what is in it has a place */
  async #folder(context: FetchContext, task: Task, folders: Task[]): Promise<boolean> {
    const { error } = task.entry;
    try {
      await prepareFolder(context, task);
      folders.push(task);
      this.#counts.folder += 1;
      if (error !== undefined) throw new Failure(error.code as Failure["code"], error.detail);
      return true;
    } catch (thrown) {
      await this.#failed(task.remote, thrown);
      return false;
    }
  }

  async #fetchAll(context: FetchContext, tasks: readonly Task[]): Promise<void> {
    const report = { done: async (task: Task, fetched: Fetched) => await this.#done(task, fetched), failed: async (task: Task, error: unknown) => await this.#failed(task.remote, error) };
    const left = tasks.length < 2 ? tasks : await fetchBatch(context, tasks, report);
    for (const task of left) {
      try {
        await this.#done(task, await fetchTask(context, task));
      } catch (error) {
        await this.#failed(task.remote, error);
      }
    }
  }

  async #done(task: Task, fetched: Fetched): Promise<void> {
    this.#counts[fetched.result] += 1;
    if (fetched.result === "downloaded" || fetched.result === "resumed") this.#bytes += fetched.sizeBytes;
    if (task.entry.type === "file") this.#progress.fileDone();
    if (this.#session.json) {
      const { result, sizeBytes, sha256, reason } = fetched;
      await printJsonLine({ event: "done", remote: task.remote, target: shownTarget(task), result, bytes: sizeBytes, ...(sha256 === undefined ? {} : { sha256 }), ...(reason === undefined ? {} : { reason }) });
    } else if (fetched.result === "skipped") {
      this.#say(`${escapeText(task.remote)}: skipped: ${fetched.reason ?? ""}`);
    }
  }

  /** Notes one failure; throws it again where nothing else would work either. */
  async #failed(remote: string, error: unknown): Promise<void> {
    this.#session.signal.throwIfAborted();
    const failure = toFailure(error);
    this.#failures.push({ remote, failure });
    if (this.#session.json) await printJsonLine({ event: "failed", remote, error: { code: failure.code, detail: failure.message, do: failure.advice } });
    else this.#say(`pluck: ${failure.code}: ${escapeText(remote)}: ${failure.message}`);
    if (isFatal(failure)) throw failure;
  }

  async #conclude(): Promise<number> {
    this.#progress.stop();
    const { folder, ...came } = this.#counts;
    const total = Object.values(came).reduce((sum, one) => sum + one, 0);
    const [first] = this.#failures;
    if (this.#session.json) {
      await printJsonLine({
        event: "summary",
        files: came.downloaded + came.resumed + came.present + came["hard-link"],
        symlinks: came.symlink,
        folders: folder,
        present: came.present,
        resumed: came.resumed,
        hard_links: came["hard-link"],
        skipped: came.skipped,
        failed: this.#failures.length,
        bytes: this.#bytes,
        seconds: Math.round(this.#progress.seconds * 1000) / 1000,
      });
    } else if (this.#options.quiet !== true && (total > 0 || folder > 0)) {
      await print(`${this.#summary()}\n`);
    }
    if (first === undefined) return exitCodes.ok;
    if (total === 0 && this.#failures.every(({ failure }) => failure.exitCode === first.failure.exitCode)) throw first.failure;
    throw new Failure("some_failed", `${this.#failures.length} of ${total + this.#failures.length} did not come.`);
  }

  #summary(): string {
    const { downloaded, resumed, present, symlink, skipped } = this.#counts;
    const links = this.#counts["hard-link"];
    const files = downloaded + resumed + links;
    const parts = [
      ...(files > 0 || present + symlink + skipped === 0 ? [count(files, "file")] : []),
      ...(symlink > 0 ? [count(symlink, "symlink")] : []),
      ...(present > 0 ? [`${present} there already`] : []),
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
    ];
    if (this.#bytes === 0) return parts.join(", ");
    const { seconds } = this.#progress;
    return `${parts.join(", ")}: ${formatBytes(this.#bytes)} in ${formatDuration(seconds)} (${formatBytes(this.#bytes / Math.max(seconds, 0.001))}/s)`;
  }

  #say(text: string): void {
    this.#progress.say(escapeSentence(text));
  }
}

function isFatal(error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const system = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  return fatal.has(error.code) || (error.code === "write_failed" && system !== undefined && fatalSystem.has(system));
}

function isBelow(target: readonly Buffer[], above: readonly Buffer[]): boolean {
  return target.length > above.length && above.every((part, index) => target[index]?.equals(part) === true);
}

/** Below the output folder, as text: names that are not UTF-8 with U+FFFD; `remote` is exact. */
function shownTarget(task: Task): string {
  return Buffer.concat(task.target.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from("/"), part]))).toString("utf8");
}
