import { randomBytes } from "node:crypto";
import { chmod, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { PluckError } from "../../shared/errors.ts";
import type { BackingChain, OpenChain } from "./backing-chain.ts";
import { openBackingChain } from "./backing-chain.ts";
import { toBlockDescription } from "./block-description.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { startQemu, waitUntilReady } from "./qemu-process.ts";

export interface ExportOptions {
  readonly repositoryRoot: string;
  /** Of the qcow2 file, relative to the root. */
  readonly path: string;
  /** Private folder for the sockets; made with mode 0700. Its path is short: a socket's has at most 107 bytes. */
  readonly runDir: string;
  /** How long qemu-nbd may take to open the disk; default 10 s. */
  readonly openTimeoutMs?: number;
}

/** An open disk: one qemu-nbd that serves it, read-only, on a unix socket. */
export interface Export {
  readonly socketPath: string;
  readonly chain: BackingChain;
  /** Of the process that serves now; it changes when a lost one is replaced. */
  readonly pid: number;
  /**
   * Settles when the export is over: with undefined after `close`, with an error when qemu-nbd was lost
   * and could not be brought back. Never rejects.
   */
  readonly ended: Promise<PluckError | undefined>;
  /** Ends qemu-nbd and gives everything back. Idempotent. */
  close(): Promise<void>;
}

const OPEN_TIMEOUT_MS = 10_000;
const MAX_SOCKET_PATH_BYTES = 107;
/** A lost qemu-nbd is started again after these delays; one more loss within RESTART_WINDOW_MS ends the export. */
const RESTART_DELAYS_MS = [0, 250, 1000];
const RESTART_WINDOW_MS = 60_000;

/**
 * Checks a disk's backing chain and serves it. A qemu-nbd that is lost is started again on the same
 * socket and the same open files, so that a client that reconnects sees a short delay.
 *
 * @throws PluckError what readBackingChain throws; backup_in_use when a file is open for writing elsewhere;
 *   corrupt, unsupported or io_error as QEMU finds
 */
export async function openExport(options: ExportOptions): Promise<Export> {
  const chain = await openBackingChain(options);
  const socketPath = path.join(path.resolve(options.runDir), `${randomBytes(6).toString("hex")}.sock`);
  let qemu: QemuProcess | undefined;
  try {
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
      throw new PluckError("internal", `the socket path ${socketPath} has more than ${MAX_SOCKET_PATH_BYTES} bytes`);
    }
    await mkdir(options.runDir, { recursive: true, mode: 0o700 });
    await chmod(options.runDir, 0o700);
    qemu = startServer(chain, socketPath);
    await waitUntilReady(qemu, socketPath, options.openTimeoutMs ?? OPEN_TIMEOUT_MS);
    return new RunningExport(chain, socketPath, qemu);
  } catch (error) {
    await qemu?.stop();
    await rm(socketPath, { force: true });
    await chain.close();
    throw error;
  }
}

function startServer(chain: OpenChain, socketPath: string): QemuProcess {
  const fds = chain.handles.map((handle) => handle.fd);
  return startQemu({ description: toBlockDescription(chain), fds, socketPath });
}

class RunningExport implements Export {
  readonly socketPath: string;
  readonly chain: BackingChain;
  readonly ended: Promise<PluckError | undefined>;
  readonly #open: OpenChain;
  readonly #closing = Promise.withResolvers<void>();
  readonly #finished: Promise<void>;
  #qemu: QemuProcess;
  #isClosing = false;

  constructor(open: OpenChain, socketPath: string, qemu: QemuProcess) {
    this.#open = open;
    this.chain = { files: open.files, virtualSizeBytes: open.virtualSizeBytes };
    this.socketPath = socketPath;
    this.#qemu = qemu;
    this.ended = this.#supervise();
    this.#finished = this.ended.then(() => this.#giveBack());
  }

  get pid(): number {
    return this.#qemu.pid;
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.#closing.resolve();
    }
    await this.#finished;
  }

  /** Replaces a lost server until it is lost too often, or the export is closed. */
  async #supervise(): Promise<PluckError | undefined> {
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
        this.#qemu = startServer(this.#open, this.socketPath);
      } catch (error) {
        return error instanceof PluckError ? error : new PluckError("internal", "qemu-nbd can't be started", { cause: error });
      }
    }
  }

  async #giveBack(): Promise<void> {
    await this.#qemu.stop();
    await rm(this.socketPath, { force: true });
    await this.#open.close();
  }
}
