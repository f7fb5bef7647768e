import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { Logger } from "pino";

/** The local agent in a process of its own: what a hostile image may do to it, the coordinator survives. */
export interface AgentProcess {
  /** Ends it for good: SIGTERM, and SIGKILL after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;
/** One that ran so long is healthy: its next end starts with a short pause again. */
const healthyAfterMs = 30_000;

export function runAgent(environment: Record<string, string>, logger: Logger): AgentProcess {
  const projectFolder = join(import.meta.dirname, "../..");
  // However this process ends, the kernel tells the agent to stop.
  const dieWithUs = existsSync("/usr/bin/setpriv") ? ["/usr/bin/setpriv", "--pdeathsig", "TERM"] : [];
  // The last argument is for people: it shows in `ps` which Pluck this agent belongs to.
  // Left to itself, V8 grows the space for new objects to 128 MiB while archives are written, and keeps it.
  const command = [...dieWithUs, process.execPath, "--max-semi-space-size=16", join(projectFolder, "agent/main.ts"), `PLUCK_HOME=${environment["PLUCK_HOME"] ?? ""}`];
  const stopped = new AbortController();
  let kill: (signal: NodeJS.Signals) => void = () => undefined;

  async function keepRunning(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!stopped.signal.aborted) {
      const begunAt = Date.now();
      const child = execa(command[0] ?? "", command.slice(1), {
        cwd: projectFolder,
        // glibc would keep an arena of freed memory for every reader's thread: a third more for the same work.
        env: { ...environment, MALLOC_ARENA_MAX: "2" },
        extendEnv: false,
        stdio: ["ignore", 2, 2],
        buffer: false,
        reject: false,
        // A Ctrl-C in the terminal reaches only us, and we stop it in order.
        detached: true,
        cleanup: false,
      });
      kill = (signal) => void child.kill(signal);
      const result = await child;
      if (stopped.signal.aborted) return;
      pauseMs = Date.now() - begunAt > healthyAfterMs ? firstPauseMs : pauseMs;
      logger.error({ exitCode: result.exitCode, signal: result.signal, restart_in_ms: pauseMs }, "the local agent ended; starting it again");
      await pause(pauseMs, stopped.signal);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  const ended = keepRunning();
  return {
    async stop(graceMs) {
      stopped.abort();
      kill("SIGTERM");
      const timer = setTimeout(() => kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
