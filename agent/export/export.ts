import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { PluckError } from "../../shared/errors.ts";
import type { BackingChain, OpenChain } from "./backing-chain.ts";
import { openBackingChain } from "./backing-chain.ts";
import { type Locking, toBlockDescription } from "./block-description.ts";
import { ChainWatch } from "./chain-watch.ts";
import type { FileState } from "./file-state.ts";
import { findWriter } from "./image-locks.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { startQemu, waitUntilReady } from "./qemu-process.ts";
import { type StorageKind, storageKindOf } from "./storage-kind.ts";

export interface ExportOptions {
  readonly repositoryRoot: string;
  /** Of the qcow2 file, relative to the root. */
  readonly path: string;
  /** Private folder for the sockets; made with mode 0700. Its path is short: a socket's has at most 107 bytes. */
  readonly runDir: string;
  /** How long qemu-nbd may take to open the disk; default 10 s. */
  readonly openTimeoutMs?: number;
  /** What the files lie on; found out when it is not given. */
  readonly storage?: StorageKind;
}

/** An open disk: one qemu-nbd that serves it, read-only, on a unix socket. */
export interface Export {
  readonly socketPath: string;
  readonly chain: BackingChain;
  /** Of the process that serves now; it changes when a lost one is replaced. */
  readonly pid: number;
  /** Stands for the chain's files as they were opened: another when any of them is another or was written to. */
  readonly identity: string;
  /**
   * Settles when the export is over: with undefined after `close`, with an error when qemu-nbd was lost
   * and could not be brought back, with backup_in_use when a file of the chain changed. Never rejects.
   */
  readonly ended: Promise<PluckError | undefined>;
  /**
   * Resolves when no file of the chain has changed since it was opened: then all that was read so far is
   * one and the same disk.
   * @throws PluckError backup_in_use when one has changed; mount_not_found after the end; io_error
   */
  assertUnchanged(): Promise<void>;
  /** Ends qemu-nbd and gives everything back. Idempotent. */
  close(): Promise<void>;
}

const OPEN_TIMEOUT_MS = 10_000;
const MAX_SOCKET_PATH_BYTES = 107;
/** A lost qemu-nbd is started again after these delays; one more loss within RESTART_WINDOW_MS ends the export. */
const RESTART_DELAYS_MS = [0, 250, 1000];
const RESTART_WINDOW_MS = 60_000;

/**
 * Checks a disk's backing chain and serves it. It keeps no writer away: the export ends as soon as a
 * file of the chain changes. A qemu-nbd that is lost is started again on the same
 * socket and the same open files, so that a client that reconnects sees a short delay.
 *
 * @throws PluckError what readBackingChain throws; backup_in_use when a file is open for writing elsewhere;
 *   corrupt, unsupported or io_error as QEMU finds
 */
export async function openExport(options: ExportOptions): Promise<Export> {
  const chain = await openBackingChain(options);
  const socketPath = path.join(path.resolve(options.runDir), `${randomBytes(6).toString("hex")}.sock`);
  let qemu: QemuProcess | undefined;
  let watch: ChainWatch | undefined;
  try {
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
      throw new PluckError("internal", `the socket path ${socketPath} has more than ${MAX_SOCKET_PATH_BYTES} bytes`);
    }
    const timeoutMs = options.openTimeoutMs ?? OPEN_TIMEOUT_MS;
    const [storage] = await Promise.all([options.storage ?? storageKindOf(chain.handles.map(({ fd }) => fd)), makePrivate(options.runDir)]);
    watch = new ChainWatch(chain, storage);
    await assertNoWriter(chain, storage, socketPath, timeoutMs);
    // Where a change might go unnoticed, writers are kept away instead.
    const locking = storage === "unknown" ? "auto" : "off";
    qemu = startServer(chain, socketPath, locking);
    await waitUntilReady(qemu, socketPath, timeoutMs);
    return new RunningExport(chain, watch, socketPath, qemu, locking);
  } catch (error) {
    const cause = await preferChange(watch, error);
    await qemu?.stop();
    watch?.close();
    await rm(socketPath, { force: true });
    await chain.close();
    throw cause;
  }
}

async function makePrivate(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
}

/** What a file that changes under its hands makes QEMU say is of no use. */
async function preferChange<E>(watch: ChainWatch | undefined, error: E): Promise<E | PluckError> {
  try {
    await watch?.check();
    return error;
  } catch (change) {
    return change instanceof PluckError && change.code === "backup_in_use" ? change : error;
  }
}

/** @throws PluckError backup_in_use when a file of the chain is open for writing */
async function assertNoWriter(chain: OpenChain, storage: StorageKind, socketPath: string, timeoutMs: number): Promise<void> {
  if (!chain.isSettled) throw new PluckError("backup_in_use", "a file of this backup is being written to right now");
  // Then the server itself takes QEMU's locks.
  if (storage === "unknown") return;
  if (storage === "local") {
    const files = chain.handles.map(({ fd }, index) => ({ fd, state: chain.states[index] as FileState }));
    let writer: number | undefined;
    let isTableReadable = true;
    try {
      writer = findWriter(files);
    } catch {
      isTableReadable = false;
    }
    if (writer !== undefined) {
      const name = chain.files[writer]?.path ?? "";
      throw new PluckError("backup_in_use", `${name} is open for writing: a job is at work on this backup. Mount it again when the job is done.`, { extra: { file: name } });
    }
    if (isTableReadable) return;
  }
  await tryLocks(chain, socketPath, timeoutMs);
}

/** Asks QEMU: a server that takes the locks of a reader, for a moment. Costs as much as opening the disk. */
async function tryLocks(chain: OpenChain, socketPath: string, timeoutMs: number): Promise<void> {
  const qemu = startServer(chain, socketPath, "auto");
  try {
    await waitUntilReady(qemu, socketPath, timeoutMs);
  } catch (error) {
    // Anything else is said again when the disk is opened; a file system without locks is no reason at all.
    if (error instanceof PluckError && error.code === "backup_in_use") throw error;
  } finally {
    await qemu.stop();
    await rm(socketPath, { force: true });
  }
}

function startServer(chain: OpenChain, socketPath: string, locking: Locking): QemuProcess {
  const fds = chain.handles.map((handle) => handle.fd);
  return startQemu({ description: toBlockDescription(chain, locking), fds, socketPath });
}

function identify(chain: OpenChain): string {
  const files = chain.files.map(({ path: name }, index) => {
    const { inode, sizeBytes, modifiedNs } = chain.states[index] as FileState;
    return [name, ...[inode, sizeBytes, modifiedNs].map(String)];
  });
  return createHash("sha256").update(JSON.stringify(files)).digest("base64url");
}

class RunningExport implements Export {
  readonly socketPath: string;
  readonly chain: BackingChain;
  readonly ended: Promise<PluckError | undefined>;
  readonly identity: string;
  readonly #open: OpenChain;
  readonly #watch: ChainWatch;
  readonly #locking: Locking;
  readonly #closing = Promise.withResolvers<void>();
  readonly #finished: Promise<void>;
  #qemu: QemuProcess;
  #isClosing = false;

  constructor(open: OpenChain, watch: ChainWatch, socketPath: string, qemu: QemuProcess, locking: Locking) {
    this.#open = open;
    this.#watch = watch;
    this.#locking = locking;
    this.identity = identify(open);
    this.chain = { files: open.files, virtualSizeBytes: open.virtualSizeBytes };
    this.socketPath = socketPath;
    this.#qemu = qemu;
    this.ended = this.#supervise();
    this.#finished = this.ended.then(() => this.#giveBack());
  }

  get pid(): number {
    return this.#qemu.pid;
  }

  async assertUnchanged(): Promise<void> {
    await this.#watch.check();
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.#closing.resolve();
    }
    await this.#finished;
  }

  async #supervise(): Promise<PluckError | undefined> {
    const error = await Promise.race([this.#watch.changed, this.#keepServing()]);
    const cause = error === undefined || this.#isClosing ? error : await preferChange(this.#watch, error);
    // No server is started any more.
    this.#isClosing = true;
    this.#closing.resolve();
    return cause;
  }

  /** Replaces a lost server until it is lost too often, or the export is closed. */
  async #keepServing(): Promise<PluckError | undefined> {
    const losses: number[] = [];
    for (;;) {
      const lost = await Promise.race([this.#qemu.exited, this.#closing.promise]);
      if (lost === undefined || this.#isClosing) return undefined;
      const now = performance.now();
      losses.push(now);
      while (losses[0] !== undefined && losses[0] < now - RESTART_WINDOW_MS) losses.shift();
      const delayMs = RESTART_DELAYS_MS[losses.length - 1];
      if (delayMs === undefined) return lost;
      await Promise.race([new Promise((resolve) => setTimeout(resolve, delayMs)), this.#closing.promise]);
      if (this.#isClosing) return undefined;
      try {
        this.#qemu = startServer(this.#open, this.socketPath, this.#locking);
      } catch (error) {
        return error instanceof PluckError ? error : new PluckError("internal", "qemu-nbd can't be started", { cause: error });
      }
    }
  }

  async #giveBack(): Promise<void> {
    this.#watch.close();
    await this.#qemu.stop();
    await rm(this.socketPath, { force: true });
    await this.#open.close();
  }
}
