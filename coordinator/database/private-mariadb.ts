import { createHash } from "node:crypto";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { userInfo, tmpdir } from "node:os";
import { basename, delimiter, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import mysql from "mysql2/promise";
import { sqlMode } from "./connect.ts";

/**
 * A MariaDB of our own in a folder, for one machine without a database server: reachable only through
 * a unix socket in a private folder, never over TCP, so it needs no password.
 */
export interface PrivateMariadb {
  /** For connectDatabase; the database `pluck` exists. */
  readonly url: string;
  readonly socketPath: string;
  /** The server's process. */
  readonly pid: number;
  /** Resolves when the server is gone, whoever ended it. */
  readonly ended: Promise<void>;
  /** Shuts it down; a server that lingers is killed after `graceMs` (InnoDB recovers at the next start). */
  stop(options?: { graceMs?: number }): Promise<void>;
}

export interface PrivateMariadbOptions {
  /** For tests: nothing is flushed to the disk. */
  readonly fast?: boolean;
}

/** Linux allows 108 bytes with the closing NUL; the server appends nothing. */
const maxSocketPathBytes = 107;
/** A start after a crash replays the log first. */
const startTimeoutMs = 60_000;

/** The URL of a server that runs on this folder now, whoever started it. */
export async function findPrivateMariadb(folder: string): Promise<string | undefined> {
  const paths = await preparePaths(resolve(folder));
  return (await leftoverPid(paths)) !== undefined && (await tryPrepareDatabase(paths.socket)) ? socketUrl(paths.socket) : undefined;
}

/**
 * Installs the data folder on the first call and starts the server. A server that a killed predecessor
 * left running on this folder is ended first: its options may be of an older version, and a server of
 * our own ends with us.
 * @param folder made when missing, mode 0700
 * @throws Error that names what is missing, who else is using the folder, or carries the end of the server's log
 */
export async function startPrivateMariadb(folder: string, options: PrivateMariadbOptions = {}): Promise<PrivateMariadb> {
  const paths = await preparePaths(resolve(folder));
  await endLeftover(paths);
  await install(paths);
  return await start(paths, options.fast === true);
}

interface Paths {
  readonly folder: string;
  readonly data: string;
  readonly temporary: string;
  readonly socket: string;
  readonly pid: string;
  /** Who started it: process id and start time. */
  readonly owner: string;
  readonly log: string;
}

async function preparePaths(folder: string): Promise<Paths> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const nearby = join(folder, "mariadb.sock");
  const socket = Buffer.byteLength(nearby) <= maxSocketPathBytes ? nearby : await shortSocketPath(folder);
  const temporary = join(folder, "tmp");
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  return { folder, data: join(folder, "data"), temporary, socket, pid: join(folder, "mariadb.pid"), owner: join(folder, "mariadb.owner"), log: join(folder, "mariadb.log") };
}

/** A private folder under the system's temporary one; the same for the same state folder. */
async function shortSocketPath(folder: string): Promise<string> {
  const name = `pluck-${String(userInfo().uid)}-${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`;
  const short = join(tmpdir(), name);
  await mkdir(short, { recursive: true, mode: 0o700 });
  const { uid, mode } = await stat(short);
  if (uid !== userInfo().uid || (mode & 0o077) !== 0) throw new Error(`${short} must belong to this user alone (mode 0700): it holds the database's socket`);
  return join(short, "mariadb.sock");
}

/** Installed into a folder beside it and renamed, so that a half-done one is never taken for whole. */
async function install(paths: Paths): Promise<void> {
  if (existsSync(paths.data)) return;
  const unfinished = `${paths.data}.unfinished`;
  // Named from inside its folder: the script does not quote what it is given everywhere, and a home may
  // have spaces and quotes in its path.
  const fromInside = `./${basename(unfinished)}`;
  await rm(unfinished, { recursive: true, force: true });
  const result = await execa(
    program("mariadb-install-db"),
    [
      "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
      `--datadir=${fromInside}`, `--user=${userInfo().username}`,
    ],
    // A temporary folder of its own: see serverArguments. As a variable, not as an option, for its quotes.
    { reject: false, all: true, cwd: paths.folder, env: { TMPDIR: paths.temporary } },
  );
  if (result.exitCode !== 0) throw new Error(`mariadb-install-db failed: ${result.all.slice(-2000)}`);
  await rename(unfinished, paths.data);
}

async function start(paths: Paths, fast: boolean): Promise<PrivateMariadb> {
  await rm(paths.socket, { force: true });
  const before = await stat(paths.log).then(({ size }) => size, () => 0);
  // When this process is killed, the kernel tells the server to shut down: no orphan. Its own process
  // group: a Ctrl-C in the terminal reaches only us, and we stop it in order.
  const argv = [...dieWithUs(), program("mariadbd"), ...serverArguments(paths, fast)];
  await writeFile(paths.owner, `${String(process.pid)} ${await startTicks(process.pid)}`, { mode: 0o600 });
  const server = execa(argv[0] ?? "", argv.slice(1), {
    stdin: "ignore", stdout: "ignore", stderr: "ignore", reject: false, buffer: false, detached: true, cleanup: false,
  });
  let ended = false;
  const gone = server.then(() => { ended = true; });
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    if (ended) throw new Error(`mariadbd ended at once: ${await logSince(paths.log, before)}`);
    if (await tryPrepareDatabase(paths.socket)) break;
    if (Date.now() > deadline) {
      server.kill("SIGKILL");
      throw new Error(`mariadbd did not answer within ${String(startTimeoutMs / 1000)} s: ${await logSince(paths.log, before)}`);
    }
    await sleep(25);
  }
  const pid = server.pid;
  if (pid === undefined) throw new Error("mariadbd has no process id");
  return {
    url: socketUrl(paths.socket),
    socketPath: paths.socket,
    pid,
    ended: gone,
    stop: async ({ graceMs = 5000 } = {}) => {
      if (!ended) server.kill("SIGTERM");
      const timer = setTimeout(() => server.kill("SIGKILL"), graceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}

function socketUrl(socketPath: string): string {
  return `mysql://root@localhost/pluck?socketPath=${encodeURIComponent(socketPath)}`;
}

function serverArguments(paths: Paths, fast: boolean): string[] {
  return [
    "--no-defaults",
    `--datadir=${paths.data}`,
    // Its own: a server removes, at its start, temporary tables of others from the folder they share.
    `--tmpdir=${paths.temporary}`,
    `--socket=${paths.socket}`,
    `--pid-file=${paths.pid}`,
    `--log-error=${paths.log}`,
    `--user=${userInfo().username}`,
    "--skip-networking",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",
    "--default-time-zone=+00:00",
    `--sql-mode=${sqlMode}`,
    "--max-connections=200",
    "--max-allowed-packet=64M",
    "--innodb-buffer-pool-size=64M",
    "--performance-schema=OFF",
    ...(fast
      ? ["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync"]
      : ["--innodb-flush-log-at-trx-commit=1"]),
  ];
}

/** True when the server answers; then the database exists too. */
async function tryPrepareDatabase(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false;
  try {
    const connection = await mysql.createConnection({ socketPath, user: "root", connectTimeout: 2000 });
    try {
      await connection.query("CREATE DATABASE IF NOT EXISTS pluck CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
      return true;
    } finally {
      connection.destroy();
    }
  } catch {
    return false;
  }
}

/** Ends a server that still runs on this data folder, known by its command line, not by a number alone: numbers are used again. */
async function endLeftover(paths: Paths): Promise<void> {
  const pid = await leftoverPid(paths);
  if (pid === undefined) return;
  const owner = await livingOwner(paths);
  if (owner !== undefined) throw new Error(`the database in ${paths.folder} is in use by process ${String(owner)}: one Pluck a state folder (PLUCK_HOME)`);
  signal(pid, "SIGTERM");
  const deadline = Date.now() + 20_000;
  while ((await leftoverPid(paths)) === pid) {
    if (Date.now() > deadline) signal(pid, "SIGKILL");
    await sleep(50);
  }
  await rm(paths.pid, { force: true });
}

/** The process that started the server, if it still lives: same id and same start. */
async function livingOwner(paths: Paths): Promise<number | undefined> {
  const [pid = "", ticks] = (await readFile(paths.owner, "utf8").catch(() => "")).split(" ");
  return /^\d+$/.test(pid) && ticks !== undefined && ticks !== "" && (await startTicks(Number(pid))) === ticks ? Number(pid) : undefined;
}

/** When a process started, in ticks since boot (field 22 of /proc/pid/stat; the name in field 2 may hold anything); "" when it is gone. */
async function startTicks(pid: number): Promise<string> {
  const text = await readFile(`/proc/${String(pid)}/stat`, "utf8").catch(() => "");
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

async function leftoverPid(paths: Paths): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(paths.pid, "utf8").catch(() => ""), 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  const commandLine = await readFile(`/proc/${String(pid)}/cmdline`, "utf8").catch(() => "");
  return commandLine.split("\0").includes(`--datadir=${paths.data}`) ? pid : undefined;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended in between.
  }
}

async function logSince(path: string, offsetBytes: number): Promise<string> {
  const log = await readFile(path).catch(() => Buffer.alloc(0));
  const text = log.subarray(offsetBytes).toString("utf8").trim();
  return text === "" ? `(nothing in ${path})` : text.slice(-2000);
}

function dieWithUs(): string[] {
  return existsSync("/usr/bin/setpriv") ? ["/usr/bin/setpriv", "--pdeathsig", "TERM"] : [];
}

/** Servers stand in /usr/sbin, which an ordinary user's PATH leaves out. */
function program(name: string): string {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/sbin"];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  throw new Error(`${name} is not installed: apt-get install mariadb-server, or set PLUCK_DATABASE_URL`);
}

