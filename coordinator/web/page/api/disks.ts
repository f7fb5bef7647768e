import { call } from "./client.ts";
import { ApiError } from "./problem.ts";
import type { Mount, Resources } from "./types.ts";

/** A disk that takes long is asked after this often. */
const pollMs = 400;

/**
 * Opens a disk of a restore point, or finds it open; waits for as long as that takes.
 * @throws ApiError why it could not be opened; an AbortError when the signal fires
 */
export async function openDisk(backupId: string, diskIndex: number, signal?: AbortSignal): Promise<Mount> {
  const options = signal === undefined ? {} : { signal };
  let mount = await call<Mount>("/restore/mount", { method: "POST", body: { backup_id: backupId, disk_index: diskIndex }, ...options });
  // 202: it is still being opened.
  while (mount.status === "mounting") {
    await pause(pollMs, signal);
    mount = await readMount(mount.mount_id, signal);
  }
  if (mount.status === "failed") throw new ApiError(mount.error?.code ?? "internal", mount.error?.detail ?? "", 0);
  return mount;
}

export async function readMount(mountId: string, signal?: AbortSignal): Promise<Mount> {
  return await call<Mount>(`/restore/${encodeURIComponent(mountId)}`, signal === undefined ? {} : { signal });
}

export async function listMounts(signal?: AbortSignal): Promise<Mount[]> {
  return (await call<{ mounts: Mount[] }>("/restore/mounts", signal === undefined ? {} : { signal })).mounts;
}

/** The lease begins anew. */
export async function extendMount(mountId: string): Promise<Mount> {
  return await call<Mount>(`/restore/${encodeURIComponent(mountId)}/extend`, { method: "POST" });
}

export async function endMount(mountId: string): Promise<void> {
  await call<undefined>(`/restore/${encodeURIComponent(mountId)}`, { method: "DELETE" });
}

/** What opens an encrypted volume: a passphrase, or the contents of a key file in base64. */
export type Secret = { readonly passphrase: string } | { readonly key: string };

/** @returns the mount with what the volume holds @throws ApiError wrong_key, too_many_attempts … */
export async function unlockVolume(mountId: string, volume: string, secret: Secret): Promise<Mount> {
  return await call<Mount>(`/restore/${encodeURIComponent(mountId)}/unlock`, { method: "POST", body: { volume, ...secret } });
}

export async function readResources(signal?: AbortSignal): Promise<Resources> {
  return await call<Resources>("/restore/resources", signal === undefined ? {} : { signal });
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}
