import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { demoBackups } from "../demo/catalog.ts";
import type { ApiClient } from "./api-client.ts";
import { readIfThere, StartError, writePrivateFile } from "./home.ts";

/** The one site of a machine: a repository, and the agent that serves it. */
export interface Site {
  readonly repositoryId: "demo" | "local";
  readonly repositoryName: string;
  /** Absolute. */
  readonly repositoryPath: string;
}

export const localAgentId = "local";

/**
 * Waits until the agent was heard after `since`: after a crash the table may still call an earlier one online.
 * @throws StartError when that takes longer than `timeoutMs`
 */
export async function waitUntilOnline(api: ApiClient, since: Date, timeoutMs: number, signal: AbortSignal): Promise<void> {
  for (const end = Date.now() + timeoutMs; ; ) {
    const { agents } = (await api.call<{ agents: { id: string; online: boolean; last_seen_at: string | null }[] }>("GET", "/agents")).body;
    if (agents.some(({ id, online, last_seen_at }) => id === localAgentId && online && new Date(last_seen_at ?? 0) >= since)) return;
    if (Date.now() > end) throw new StartError(`the local agent did not come online within ${timeoutMs / 1000} s; its log is above`);
    await sleep(100, undefined, { signal });
  }
}

/** Once a state folder: a demo backup that somebody deleted stays deleted. */
export async function registerDemo(api: ApiClient, home: string): Promise<void> {
  const marker = join(home, "demo-registered");
  if ((await readIfThere(marker)) !== undefined) return;
  // 409: registered under this id, by hand or by an earlier start that was cut off.
  for (const backup of demoBackups) await api.call("POST", "/backups", { ...backup, repository_id: "demo" }, [409]);
  await writePrivateFile(marker, `${demoBackups.map(({ backup_id }) => backup_id).join("\n")}\n`);
}

export interface ScanReport {
  readonly registered: readonly string[];
  readonly already_known: number;
  readonly problems: readonly { readonly qcow2_path: string; readonly code: string; readonly detail: string }[];
}

export async function scanRepository(api: ApiClient, site: Site): Promise<ScanReport> {
  return (await api.call<ScanReport>("POST", `/repositories/${site.repositoryId}/scan`)).body;
}
