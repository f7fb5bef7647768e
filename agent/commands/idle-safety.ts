import { PluckError } from "../../shared/errors.ts";
import type { OpenMounts } from "../mounts/open-mount.ts";

/**
 * Coordinators end idle mounts. Where none has been heard of for long, the agent does it itself: a
 * mount with no access for this many idle timeouts and no running transfer.
 */
const idleTimeouts = 2;

/** @returns the ids of the mounts that were ended */
export async function endForgottenMounts(mounts: OpenMounts, idleTimeoutS: number, cutOffSince: Date | undefined, now: Date): Promise<string[]> {
  const limitMs = idleTimeouts * idleTimeoutS * 1000;
  if (cutOffSince === undefined || now.getTime() - cutOffSince.getTime() < limitMs) return [];
  const forgotten = mounts.list().filter((mount) => mount.transfers === 0 && now.getTime() - mount.lastAccessedAt.getTime() >= limitMs);
  const reason = new PluckError("mount_not_found", "The mount was idle, and no coordinator could be reached.");
  await Promise.all(forgotten.map(async (mount) => await mounts.end(mount.mountId, reason)));
  return forgotten.map((mount) => mount.mountId);
}
