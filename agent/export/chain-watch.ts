import { type FSWatcher, watch } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { PluckError } from "../../shared/errors.ts";
import type { OpenChain } from "./backing-chain.ts";
import { compareStates, differInAttributes, type FileState, TIME_STEP_MS, toFileState } from "./file-state.ts";
import type { StorageKind } from "./storage-kind.ts";

/** All watched files are looked at this often, also where the kernel tells of changes: it doesn't of those made elsewhere. */
const SWEEP_INTERVAL_MS = 2000;

/** Harmless changes in a row that one check bears with. */
const MAX_ROUNDS = 20;

interface WatchedFile {
  readonly name: string;
  readonly realPath: Buffer;
  readonly handle: FileHandle;
  watcher: FSWatcher | undefined;
  /** What it was when it was opened, or after the last change that was no data. */
  state: FileState;
  /** Changes the kernel told of since it is watched (moves apart), and how many of them `state` has in it. */
  changes: number;
  knownChanges: number;
  isCheckDue: boolean;
  /** Under way for all checks that found the same. */
  explaining: Promise<void> | undefined;
}

/**
 * Notices that a file of an open chain changes: its bytes may be others than those that were read
 * before, so that what is put together from both would be neither.
 *
 * A check compares each file with its state when it was opened. The kernel's notifications only say
 * when to look; a sweep does so for files that others change over a network.
 */
export class ChainWatch {
  /** Resolves when a file has changed; never rejects. */
  readonly changed: Promise<PluckError>;
  readonly #files: readonly WatchedFile[];
  readonly #storage: StorageKind;
  readonly #onChanged: (error: PluckError) => void;
  #error: PluckError | undefined;
  #isClosed = false;

  constructor(chain: OpenChain, storage: StorageKind) {
    const { promise, resolve } = Promise.withResolvers<PluckError>();
    this.changed = promise;
    this.#onChanged = resolve;
    this.#storage = storage;
    this.#files = chain.handles.map((handle, index) => ({
      name: chain.files[index]?.path ?? "",
      realPath: chain.realPaths[index] as Buffer,
      state: chain.states[index] as FileState,
      handle, watcher: undefined, changes: 0, knownChanges: 0, isCheckDue: false, explaining: undefined,
    }));
    for (const file of this.#files) this.#watch(file);
    sweeper.add(this);
  }

  /**
   * Compares each file with its state when it was opened. What was read of the disk before this was
   * called is what the backup held then.
   * @param withNames also whether each file still has its name
   * @throws PluckError backup_in_use; io_error when a file's state can't be had
   */
  async check(withNames = false): Promise<void> {
    this.#assertOpen();
    await Promise.all(this.#files.map((file) => this.#checkFile(file, withNames)));
    this.#assertOpen();
  }

  close(): void {
    this.#isClosed = true;
    sweeper.delete(this);
    for (const file of this.#files) file.watcher?.close();
  }

  #assertOpen(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#isClosed) throw new PluckError("mount_not_found", "The mount has ended.");
  }

  #watch(file: WatchedFile): void {
    const onEvent = (event: "change" | "rename") => {
      if (event === "change") file.changes += 1;
      if (file.isCheckDue) return;
      file.isCheckDue = true;
      setImmediate(() => {
        file.isCheckDue = false;
        if (!this.#isClosed) this.#checkFile(file, true).catch(() => undefined);
      });
    };
    try {
      // By the descriptor: the very file that is open, whatever bears its name now.
      file.watcher = watch(`/proc/self/fd/${file.handle.fd}`, { persistent: false }, onEvent);
      file.watcher.on("error", () => {
        file.watcher?.close();
        file.watcher = undefined;
      });
    } catch {
      // No watches left, or none on this file system: the sweep and the checks remain.
    }
  }

  async #checkFile(file: WatchedFile, withName: boolean): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const seenChanges = file.changes;
      const now = await this.#stateOf(file);
      const difference = compareStates(file.state, now);
      if (now.links === 0n) throw this.#change(file, "was deleted");
      if (difference === "data") throw this.#change(file, "was written to");
      const hasFewerNames = now.links < file.state.links;
      if (withName || hasFewerNames) await this.#checkName(file, hasFewerNames);
      if (difference === "none") {
        file.knownChanges = Math.max(file.knownChanges, seenChanges);
        return;
      }
      file.explaining ??= this.#explain(file, now).finally(() => (file.explaining = undefined));
      await file.explaining;
    }
    throw this.#change(file, "was changed again and again");
  }

  /**
   * Size and modification time are as before, and yet something changed. It was no data when the kernel
   * told of no change at all (a move, an access time set by hand), or of one that is seen in names, rights
   * or owner. A write whose time was set back afterwards makes one change without such a trace, or two.
   * Where the kernel doesn't tell, they can't be told apart.
   */
  async #explain(file: WatchedFile, seen: FileState): Promise<void> {
    // Until what the kernel has told by now has arrived.
    await new Promise((resolve) => setTimeout(resolve, TIME_STEP_MS));
    const now = await this.#stateOf(file);
    // Something else has changed; it is looked at from the start.
    if (compareStates(seen, now) !== "none") return;
    const changes = file.changes - file.knownChanges;
    const isTold = this.#storage === "local" && file.watcher !== undefined;
    const isHarmless = changes === 0 || (changes === 1 && differInAttributes(file.state, now));
    if (!isTold || !isHarmless) throw this.#change(file, "was changed");
    file.state = now;
    file.knownChanges = file.changes;
  }

  /** A file that was moved is what it was; one whose name was taken away or is another's now is gone from the backup. */
  async #checkName(file: WatchedFile, hasFewerNames: boolean): Promise<void> {
    let named: FileState;
    try {
      named = toFileState(await stat(file.realPath, { bigint: true }));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (hasFewerNames && (code === "ENOENT" || code === "ENOTDIR")) throw this.#change(file, "was deleted");
      return;
    }
    if (named.device !== file.state.device || named.inode !== file.state.inode) throw this.#change(file, "was replaced by another file");
  }

  async #stateOf(file: WatchedFile): Promise<FileState> {
    try {
      if (this.#storage === "local") return toFileState(await file.handle.stat({ bigint: true }));
      // Opening is what makes a network file system ask its server.
      const fresh = await open(`/proc/self/fd/${file.handle.fd}`, "r");
      try {
        return toFileState(await fresh.stat({ bigint: true }));
      } finally {
        await fresh.close();
      }
    } catch (error) {
      this.#assertOpen();
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      // The server has no such file any more.
      if (code === "ESTALE" || code === "ENOENT") throw this.#change(file, "was deleted");
      throw new PluckError("io_error", `${file.name} can't be checked for changes: ${code}`, { cause: error });
    }
  }

  #change(file: WatchedFile, what: string): PluckError {
    const error = new PluckError("backup_in_use", `${file.name} ${what} while the disk was open: a job is at work on this backup. Mount it again when the job is done.`, {
      extra: { file: file.name },
    });
    this.#error ??= error;
    this.#onChanged(this.#error);
    return this.#error;
  }
}

/** One sweep for all, one watch after the other: storage that hangs takes one thread from the pool, not all. */
class Sweeper {
  readonly #watches = new Set<ChainWatch>();
  #isRunning = false;

  add(watch: ChainWatch): void {
    this.#watches.add(watch);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#later();
  }

  delete(watch: ChainWatch): void {
    this.#watches.delete(watch);
  }

  #later(): void {
    setTimeout(() => void this.#sweep(), SWEEP_INTERVAL_MS).unref();
  }

  async #sweep(): Promise<void> {
    for (const watch of [...this.#watches]) {
      if (this.#watches.has(watch)) await watch.check(true).catch(() => undefined);
    }
    if (this.#watches.size > 0) this.#later();
    else this.#isRunning = false;
  }
}

const sweeper = new Sweeper();
