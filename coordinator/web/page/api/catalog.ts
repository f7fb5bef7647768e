import { call } from "./client.ts";
import type { Agent, Backup, BackupList, EventList, Repository, ScanResult, VmList } from "./types.ts";

/** A path with those parameters that have a value. */
function withQuery(path: string, parameters: Record<string, string | undefined>): string {
  const query = new URLSearchParams(Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ""));
  return query.size === 0 ? path : `${path}?${query.toString()}`;
}

export async function listVms(search: string, cursor: string | undefined, signal: AbortSignal): Promise<VmList> {
  return await call<VmList>(withQuery("/vms", { search, cursor }), { signal });
}

/** Restore points of a machine, newest first. */
export async function listBackups(vmName: string, cursor: string | undefined, signal: AbortSignal): Promise<BackupList> {
  return await call<BackupList>(withQuery("/backups", { vm_name: vmName, limit: "50", cursor }), { signal });
}

export async function readBackup(backupId: string, signal?: AbortSignal): Promise<Backup> {
  return await call<Backup>(`/backups/${encodeURIComponent(backupId)}`, signal === undefined ? {} : { signal });
}

export async function listRepositories(signal: AbortSignal): Promise<Repository[]> {
  return (await call<{ repositories: Repository[] }>("/repositories", { signal })).repositories;
}

export async function listAgents(signal: AbortSignal): Promise<Agent[]> {
  return (await call<{ agents: Agent[] }>("/agents", { signal })).agents;
}

/** Finds and registers what is new in a repository; takes minutes for a large one. */
export async function scanRepository(id: string): Promise<ScanResult> {
  return await call<ScanResult>(`/repositories/${encodeURIComponent(id)}/scan`, { method: "POST" });
}

export async function listEvents(cursor: string | undefined, signal: AbortSignal): Promise<EventList> {
  return await call<EventList>(withQuery("/events", { limit: "200", cursor }), { signal });
}
