import { Failure } from "../output/failure.ts";
import { pause, type Coordinator } from "./coordinator.ts";
import type { Backup, BackupDisk, Mount } from "./types.ts";

const pollMs = 250;
/** A disk that is still being opened after this is given up. */
const openWithinMs = 10 * 60_000;
const slotPollMs = 1000;
/** When the server names no time to wait. */
const defaultRetryS = 5;
/** For ending mounts while the command itself is being ended. */
const endWithinMs = 5000;

export interface OpenOptions {
  /** How long to wait for an export slot, in seconds. */
  readonly waitS: number;
  /** Says once that all slots are taken. */
  readonly onWait?: (failure: Failure) => void;
}

/** The mounts of one command: those that it opened itself it ends, those that were open it leaves. */
export class OwnMounts {
  readonly #coordinator: Coordinator;
  readonly #signal: AbortSignal;
  readonly #own = new Set<string>();

  constructor(coordinator: Coordinator, signal: AbortSignal) {
    this.#coordinator = coordinator;
    this.#signal = signal;
  }

  /** @throws Failure of the API; nbd_devices_exhausted after the wait */
  async open(backup: Backup, disk: BackupDisk, { waitS, onWait }: OpenOptions): Promise<Mount> {
    const giveUpAt = Date.now() + waitS * 1000;
    let said = false;
    for (;;) {
      try {
        return await this.#open(backup, disk);
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== "nbd_devices_exhausted") throw error;
        const retryAt = Math.min(giveUpAt, Date.now() + (error.retryAfterS ?? defaultRetryS) * 1000);
        if (Date.now() >= giveUpAt) throw error;
        if (!said) onWait?.(error);
        said = true;
        // A slot that becomes free is noticed sooner than the server promises.
        do await pause(Math.min(slotPollMs, Math.max(0, giveUpAt - Date.now())), this.#signal);
        while (Date.now() < retryAt && !(await this.#hasFreeSlot()));
      }
    }
  }

  /** From now on the mount stays open when the command ends. */
  keep(mount: Mount): void {
    this.#own.delete(mount.mount_id);
  }

  isOwn(mount: Mount): boolean {
    return this.#own.has(mount.mount_id);
  }

  async end(mount: Mount): Promise<void> {
    if (this.#own.delete(mount.mount_id)) await this.#coordinator.endMount(mount.mount_id, AbortSignal.timeout(endWithinMs)).catch(() => undefined);
  }

  /** Ends what is left, also after an interrupt: a mount that can't be ended now ends by its lease. */
  async endAll(): Promise<void> {
    const ids = [...this.#own];
    this.#own.clear();
    const signal = AbortSignal.timeout(endWithinMs);
    await Promise.all(ids.map((id) => this.#coordinator.endMount(id, signal).catch(() => undefined)));
  }

  async #hasFreeSlot(): Promise<boolean> {
    const { agents } = await this.#coordinator.get<{ agents: { slots_free: number }[] }>("/restore/resources");
    return agents.some(({ slots_free }) => slots_free > 0);
  }

  async #open(backup: Backup, disk: BackupDisk): Promise<Mount> {
    // An interrupt leaves the answer some time: it says whether there is something to end.
    const { status, body } = await this.#coordinator.call("POST", "/restore/mount", { backup_id: backup.backup_id, disk_index: disk.disk_index }, delayed(this.#signal, endWithinMs));
    let mount = body as Mount;
    // 202 tells not who opens it: ours when it was not there when we looked the disk up.
    if (status === 201 || (status === 202 && disk.mount_id === undefined)) this.#own.add(mount.mount_id);
    this.#signal.throwIfAborted();
    const giveUpAt = Date.now() + openWithinMs;
    while (mount.status === "mounting") {
      if (Date.now() > giveUpAt) throw new Failure("agent_timeout", `Disk ${disk.disk_index} of ${backup.backup_id} is still being opened.`);
      await pause(pollMs, this.#signal);
      mount = await this.#coordinator.mount(mount.mount_id);
    }
    if (mount.status === "mounted") return mount;
    throw new Failure((mount.error?.code ?? "internal") as Failure["code"], mount.error?.detail ?? `The mount is ${mount.status}.`);
  }
}

/** Aborts so much later than the signal. */
function delayed(signal: AbortSignal, ms: number): AbortSignal {
  const later = new AbortController();
  signal.addEventListener("abort", () => setTimeout(() => later.abort(signal.reason), ms).unref(), { once: true });
  return later.signal;
}
