import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { Mount } from "../../shared/api.ts";

/** A whole Pluck on this machine, started as a user starts it, on its own state folder and free ports. */
export interface System {
  readonly url: string;
  readonly token: string;
  readonly home: string;
  readonly pid: number;
  /** What it wrote to stderr so far: the logs. */
  logs(): string;
  /** A call of the REST API; `path` below /api/v1. Redirects are not followed. */
  api(method: string, path: string, body?: unknown, options?: { token?: string | null }): Promise<Reply>;
  /** Mounts a disk and waits for it. */
  mount(backupId: string, diskIndex?: number): Promise<Mount>;
  /** Follows the redirect of a restore call to the agent and gives the agent's answer. */
  follow(path: string, init?: RequestInit): Promise<Response>;
  /** SIGTERM, and wait. Returns the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | undefined>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // The tests look into answers of many shapes.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

const readyWithinMs = 90_000;

export async function startSystem(home: string, environment: Record<string, string> = {}): Promise<System> {
  const child = execa(process.execPath, ["deploy/start.ts"], {
    cwd: join(import.meta.dirname, "../.."),
    env: { PLUCK_HOME: home, PLUCK_PORT: "0", PLUCK_AGENT_PORT: "0", PLUCK_BROKER_PORT: "0", ...environment },
    reject: false,
    buffer: false,
    forceKillAfterDelay: false,
  });
  let stderr = "";
  let stdout = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready within ${readyWithinMs} ms:\n${stdout}\n${stderr}`)), readyWithinMs);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      const ready = /^pluck is ready at (http:\S+)$/m.exec(stdout);
      if (ready?.[1] === undefined) return;
      clearTimeout(timer);
      resolve(ready[1].replace(/\/$/, ""));
    });
    void child.then((result) => {
      clearTimeout(timer);
      reject(new Error(`ended with ${result.exitCode ?? result.signal} before it was ready:\n${stdout}\n${stderr}`));
    });
  });
  const token = (await readFile(join(home, "admin-token"), "utf8")).trim();

  const api: System["api"] = async (method, path, body, options = {}) => {
    const bearer = options.token === undefined ? token : options.token;
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      redirect: "manual",
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get("content-type")?.includes("json") === true && text !== "";
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text };
  };

  return {
    url,
    token,
    home,
    pid: child.pid ?? 0,
    logs: () => stderr,
    api,
    async mount(backupId, diskIndex) {
      const reply = await api("POST", "/restore/mount", { backup_id: backupId, ...(diskIndex === undefined ? {} : { disk_index: diskIndex }) });
      if (reply.status !== 201 && reply.status !== 200) throw new Error(`mount: ${reply.status} ${JSON.stringify(reply.body)}`);
      return reply.body as Mount;
    },
    async follow(path, init = {}) {
      const redirect = await api("GET", path);
      const location = redirect.headers.get("location");
      if (redirect.status !== 307 || location === null) throw new Error(`expected 307: ${redirect.status} ${JSON.stringify(redirect.body)}`);
      return fetch(location, init);
    },
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      return (await child).exitCode;
    },
  };
}

/** Waits until `check` gives something, asking every 50 ms. */
export async function eventually<T>(what: string, check: () => Promise<T | undefined | false>, withinMs = 20_000): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ids of running processes whose command line contains all the words. */
export async function processesWith(...words: string[]): Promise<number[]> {
  return (await processes()).filter((one) => words.every((word) => one.line.includes(word))).map((one) => one.pid);
}

/** The same among what `ancestor` started, directly or not. */
export async function descendantsWith(ancestor: number, ...words: string[]): Promise<number[]> {
  const all = await processes();
  const parents = new Map(all.map((one) => [one.pid, one.parent]));
  const descends = (pid: number): boolean => {
    for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) if (at === ancestor) return true;
    return false;
  };
  return all.filter((one) => descends(one.pid) && words.every((word) => one.line.includes(word))).map((one) => one.pid);
}

async function processes(): Promise<{ pid: number; parent: number; line: string }[]> {
  const { stdout } = await execa("ps", ["-eo", "pid=,ppid=,args="]);
  return stdout
    .split("\n")
    .filter((line) => !line.includes("ps -eo"))
    .map((line) => {
      const [pid, parent] = line.trim().split(/\s+/, 2).map(Number);
      return { pid: pid ?? 0, parent: parent ?? 0, line };
    });
}
