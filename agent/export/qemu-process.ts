import { accessSync, constants } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import net from "node:net";
import path from "node:path";
import { execa } from "execa";
import { PluckError } from "../../shared/errors.ts";
import { toQemuError } from "./qemu-error.ts";

export interface QemuOptions {
  /** The "json:" description of the disk. */
  readonly description: string;
  /** Given to the process as descriptors FIRST_FD and on, in this order. */
  readonly fds: readonly number[];
  readonly socketPath: string;
}

/** A running qemu-nbd. */
export interface QemuProcess {
  readonly pid: number;
  /** Settles once, with the reason, when the process has ended; never rejects. */
  readonly exited: Promise<PluckError>;
  /** Ends it: SIGTERM, then SIGKILL. Resolves when it is gone, or can't be ended in time. */
  stop(): Promise<void>;
}

/** Connections a client may hold: one, a fresh one while the server has not noticed the loss of the last, and spare. */
const MAX_CLIENTS = 8;
/** What is kept of stderr, for the error when it ends. */
const STDERR_BYTES = 8192;
const KILL_DELAY_MS = 2000;
/** SIGKILL waits only for a read that hangs in the kernel (a dead network file system). */
const GONE_TIMEOUT_MS = 5000;

/**
 * Starts a read-only qemu-nbd on a unix socket. It dies with this process, even by kill -9, where
 * setpriv is there to ask the kernel for that. The parent the kernel watches is the calling *thread*:
 * call this from the main thread.
 */
export function startQemu({ description, fds, socketPath }: QemuOptions): QemuProcess {
  const qemu = findProgram("qemu-nbd");
  if (qemu === undefined) throw new PluckError("internal", "qemu-nbd is not installed (Debian: qemu-utils)");
  const setpriv = findProgram("setpriv");
  const args = [
    "--read-only",
    "--persistent",
    `--shared=${MAX_CLIENTS}`,
    `--socket=${socketPath}`,
    "--cache=writeback",
    "--aio=threads",
    "--detect-zeroes=off",
    description,
  ];
  const command = setpriv === undefined ? [qemu] : [setpriv, "--pdeathsig", "SIGTERM", "--no-new-privs", qemu];
  const [file = qemu, ...prefix] = command;
  const subprocess = execa(file, [...prefix, ...args], {
    // execa takes any descriptor; its types know the first few only.
    stdio: ["ignore", "ignore", "pipe", ...(fds as readonly 3[])],
    buffer: false,
    reject: false,
    // Ctrl-C in a terminal is for the agent alone, which then ends its exports in order.
    detached: setpriv !== undefined,
    cleanup: true,
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
    extendEnv: false,
    forceKillAfterDelay: KILL_DELAY_MS,
  });

  let stderr = "";
  subprocess.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_BYTES);
  });
  const exited = subprocess.then(({ exitCode, signal, originalMessage }) =>
    toQemuError(stderr === "" ? (originalMessage ?? "") : stderr, signal ?? exitCode),
  );
  return {
    pid: subprocess.pid ?? -1,
    exited,
    stop: async () => {
      subprocess.kill("SIGTERM");
      // Unreferenced: once it is gone, nothing keeps this process alive for the rest of the time.
      await Promise.race([exited, delay(GONE_TIMEOUT_MS, undefined, { ref: false })]);
    },
  };
}

/** How often the socket is tried until it is there; a try costs some 0.1 ms. */
const READY_POLL_MS = 3;

/**
 * Waits until the server greets on its socket. Throws the process's own error when it ends first, and
 * "io_error" after `timeoutMs`: storage that does not answer.
 */
export async function waitUntilReady(qemu: QemuProcess, socketPath: string, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  const ended = qemu.exited.then((error) => Promise.reject<boolean>(error));
  // The socket listens before the image is open: only the greeting tells that it is.
  while (!(await Promise.race([isGreeted(socketPath, end), ended]))) {
    if (performance.now() >= end) throw new PluckError("io_error", `qemu-nbd did not open the disk within ${timeoutMs} ms`);
    await Promise.race([delay(READY_POLL_MS), ended]);
  }
}

/** True once the server has sent a byte; false when there is no server, it hangs up, or the time is over. */
function isGreeted(socketPath: string, end: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    const finish = (greeted: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(greeted);
    };
    const timer = setTimeout(finish, Math.max(0, end - performance.now()), false);
    socket.once("data", () => finish(true));
    socket.once("error", () => finish(false));
    socket.once("close", () => finish(false));
  });
}

/** Where a program lies: on PATH, or in a folder an ordinary user's PATH may lack. */
function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
