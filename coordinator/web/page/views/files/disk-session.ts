import { effect, signal } from "@preact/signals";
import { openDisk } from "../../api/disks.ts";
import { ApiError, unreachable } from "../../api/problem.ts";
import type { Mount } from "../../api/types.ts";
import { token } from "../../state/session.ts";

/**
 * One disk of one restore point, opened when something of it is wanted. Opening is idempotent, so an
 * address that somebody pasted works, and a mount that has ended meanwhile is opened anew.
 */
export class DiskSession {
  readonly backupId: string;
  readonly diskIndex: number;
  /** The mount as last heard of. */
  readonly mount = signal<Mount | undefined>(undefined);
  #opening: Promise<Mount> | undefined;

  constructor(backupId: string, diskIndex: number) {
    this.backupId = backupId;
    this.diskIndex = diskIndex;
  }

  /** The open mount; several that ask at once share the answer. @throws ApiError */
  open(): Promise<Mount> {
    const known = this.mount.peek();
    return known === undefined ? this.reopen() : Promise.resolve(known);
  }

  /** Asks the coordinator, whatever is known. */
  reopen(): Promise<Mount> {
    this.#opening ??= this.#ask().finally(() => { this.#opening = undefined; });
    return this.#opening;
  }

  /** What another view made of the mount: a volume was unlocked. */
  update(mount: Mount): void {
    this.mount.value = mount;
  }

  /**
   * Does something with the mount. When the mount turns out to have ended, or its agent doesn't
   * answer (one that has forgotten the mount may not tell a page so), the disk is opened once more.
   * @throws ApiError, AbortError
   */
  async use<T>(action: (mountId: string, mount: Mount) => Promise<T>): Promise<T> {
    const mount = await this.open();
    try {
      return await action(mount.mount_id, mount);
    } catch (error) {
      if (!(error instanceof ApiError) || (error.code !== "mount_not_found" && error.code !== unreachable)) throw error;
      const fresh = await this.reopen();
      return await action(fresh.mount_id, fresh);
    }
  }

  async #ask(): Promise<Mount> {
    const mount = await openDisk(this.backupId, this.diskIndex);
    this.mount.value = mount;
    return mount;
  }
}

const sessions = new Map<string, DiskSession>();
// Whoever signs in next finds nothing of the one before.
effect(() => { if (token.value === null) sessions.clear(); });

/** The session of a disk: the browser, the comparison and the basket share it. */
export function diskSession(backupId: string, diskIndex: number): DiskSession {
  const key = `${diskIndex}/${backupId}`;
  let session = sessions.get(key);
  if (session === undefined) sessions.set(key, (session = new DiskSession(backupId, diskIndex)));
  return session;
}
