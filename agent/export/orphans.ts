import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";

const TERM_TIMEOUT_MS = 2000;
const KILL_TIMEOUT_MS = 2000;
const POLL_MS = 10;

/**
 * Ends what an agent that died left in its run folder: each qemu-nbd that serves a socket in it, and the
 * sockets. Call it before the first export is opened, by the only agent that uses the folder.
 *
 * A process counts only when its command line names a socket directly in that folder and the program is
 * qemu-nbd (or setpriv about to become it); nothing else is touched.
 *
 * @returns how many processes were ended
 */
export async function endOrphans(runDir: string): Promise<number> {
  const folder = path.resolve(runDir);
  const orphans = await findOrphans(folder);
  await endAll(orphans, "SIGTERM", folder, TERM_TIMEOUT_MS);
  await endAll(orphans, "SIGKILL", folder, KILL_TIMEOUT_MS);
  for (const name of await readdirOrNone(folder)) {
    if (name.endsWith(".sock")) await rm(path.join(folder, name), { force: true });
  }
  return orphans.length;
}

interface ProcessId {
  readonly pid: number;
  /** Ticks since boot; with the pid it names one process for good. */
  readonly startTime: string;
}

async function findOrphans(folder: string): Promise<ProcessId[]> {
  const orphans: ProcessId[] = [];
  for (const name of await readdirOrNone("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const startTime = await startTimeIfOrphan(Number(name), folder);
    if (startTime !== undefined) orphans.push({ pid: Number(name), startTime });
  }
  return orphans;
}

async function endAll(orphans: readonly ProcessId[], signal: "SIGTERM" | "SIGKILL", folder: string, timeoutMs: number) {
  const isLeft = async ({ pid, startTime }: ProcessId) => (await startTimeIfOrphan(pid, folder)) === startTime;
  for (const orphan of orphans) {
    if (await isLeft(orphan)) kill(orphan.pid, signal);
  }
  const end = performance.now() + timeoutMs;
  for (const orphan of orphans) {
    while ((await isLeft(orphan)) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function kill(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already, or not ours to end.
  }
}

/** The start time of a process if it is a qemu-nbd on a socket in the folder, else undefined. */
async function startTimeIfOrphan(pid: number, folder: string): Promise<string | undefined> {
  try {
    const [program = "", ...args] = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    if (!["qemu-nbd", "setpriv"].includes(path.basename(program))) return undefined;
    const socket = args.find((arg) => arg.startsWith("--socket="))?.slice("--socket=".length);
    if (socket === undefined || path.dirname(socket) !== folder) return undefined;
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // After the program's name, which is in brackets and may hold anything: state is field 3, start time field 22.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[22 - 3];
  } catch {
    return undefined;
  }
}

async function readdirOrNone(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}
