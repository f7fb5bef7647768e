import type { Logger } from "pino";
import { PluckError } from "../../shared/errors.ts";
import { type Export, openExport } from "../export/export.ts";
import type { DiskReader } from "../reader/disk-reader.ts";
import type { WatchdogOptions } from "../reader/watchdog.ts";
import { WorkerPool } from "../reader/worker-pool.ts";
import { Lease } from "./lease.ts";
import type { OpenMount, OpenMounts, OpenRequest } from "./open-mount.ts";
import { SiblingDisks } from "./sibling-disks.ts";

export interface OpenMountsOptions {
  /** The folder with the backups. */
  readonly repositoryRoot: string;
  /** Private folder for sockets. */
  readonly runDir: string;
  /** Disks that may be open at a time. */
  readonly slots: number;
  /** Reader workers kept started; default 1. */
  readonly spareWorkers?: number;
  readonly watchdog?: WatchdogOptions;
  /** The reader worker's module, where it is not the product's own. */
  readonly workerEntry?: URL;
  readonly logger?: Pick<Logger, "info" | "warn">;
  /** The clock; default the system's. */
  readonly now?: () => Date;
}

/** What slots are waited for when all are taken: most sessions last minutes, some end any moment. */
const retryAfterS = 30;

/** Mounts remembered that ended because their files changed; each is asked for again within seconds. */
const rememberedChanges = 1000;

/** Opens and holds the disks of this agent: one slot, one qemu-nbd, one reader worker each. */
export function createOpenMounts(options: OpenMountsOptions): OpenMounts {
  return new Mounts(options);
}

class Mounts implements OpenMounts {
  readonly slots: number;
  readonly #options: OpenMountsOptions;
  readonly #workers: WorkerPool;
  readonly #leases = new Map<string, Lease>();
  readonly #taken = new Set<number>();
  /**
   * By mount id: why it ended, when a job changed its files. Whoever asks for it again under the same id
   * (a coordinator does, for a mount that an agent lost) would hold on to a disk that is another now.
   */
  readonly #changed = new Map<string, PluckError>();
  readonly #listeners: ((mountId: string, error: Error) => void)[] = [];
  #lastWebOrigin: string | null = null;
  #closed = false;

  constructor(options: OpenMountsOptions) {
    this.#options = options;
    this.slots = options.slots;
    const { spareWorkers, watchdog, workerEntry } = options;
    this.#workers = new WorkerPool({
      ...(spareWorkers === undefined ? {} : { spareWorkers }),
      ...(watchdog === undefined ? {} : { watchdog }),
      ...(workerEntry === undefined ? {} : { entry: workerEntry }),
    });
  }

  get lastWebOrigin(): string | null {
    return this.#lastWebOrigin;
  }

  async open(request: OpenRequest): Promise<OpenMount> {
    this.#lastWebOrigin = request.webOrigin;
    for (;;) {
      if (this.#closed) throw new PluckError("internal", "The agent is stopping.");
      const known = this.#leases.get(request.mountId);
      const changed = this.#changed.get(request.mountId);
      if (changed !== undefined) throw changed;
      if (known === undefined) return this.#begin(request).opened;
      if (known.ending === undefined && known.qcow2Path === request.qcow2Path) {
        known.allow(request.jwks, request.webOrigin);
        return known.opened;
      }
      await this.#end(known, new PluckError("mount_not_found", "The mount was opened anew with another disk."));
    }
  }

  async end(mountId: string, reason?: Error): Promise<boolean> {
    this.#changed.delete(mountId);
    const lease = this.#leases.get(mountId);
    if (lease === undefined) return false;
    await this.#end(lease, reason ?? new PluckError("mount_not_found", "The mount has ended."));
    return true;
  }

  get(mountId: string): OpenMount | undefined {
    return this.#leases.get(mountId)?.mount;
  }

  list(): OpenMount[] {
    return [...this.#leases.values()].flatMap((lease) => lease.mount ?? []);
  }

  opening(): string[] {
    return [...this.#leases.values()].filter((lease) => lease.ending === undefined && lease.mount === undefined).map((lease) => lease.mountId);
  }

  onLost(listener: (mountId: string, error: Error) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reason = new PluckError("mount_not_found", "The agent is stopping.");
    await Promise.all([...this.#leases.values()].map((lease) => this.#end(lease, reason)));
    await this.#workers.close();
  }

  /** Takes a slot and starts opening; nothing here waits, so two openings never share a slot. */
  #begin(request: OpenRequest): Lease {
    const slot = this.#lowestFreeSlot();
    const lease = new Lease(request, `nbd${slot}`, this.#options.now ?? (() => new Date()));
    this.#taken.add(slot);
    this.#leases.set(request.mountId, lease);
    lease.start(async (signal) => {
      try {
        return await this.#openDisk(lease, signal);
      } catch (error) {
        this.#forget(lease);
        throw error;
      }
    });
    return lease;
  }

  async #openDisk(lease: Lease, signal: AbortSignal): Promise<DiskReader> {
    const startedAt = performance.now();
    const { repositoryRoot, runDir } = this.#options;
    const disk = await openExport({ repositoryRoot, path: lease.qcow2Path, runDir });
    lease.onClose(() => disk.close());
    const { siblingPaths } = lease;
    const siblings = new SiblingDisks({ repositoryRoot, runDir, paths: siblingPaths, onLost: (error) => this.#lose(lease, error) });
    lease.onClose(() => siblings.close());
    const files = {
      async assertUnchanged() {
        await disk.assertUnchanged();
        await siblings.assertUnchanged();
      },
    };
    try {
      signal.throwIfAborted();
      lease.guardBy(() => files.assertUnchanged());
      const reader = await this.#workers.open(
        { socketPath: disk.socketPath, diskId: disk.identity, ...(siblingPaths.length === 0 ? {} : { siblings: () => siblings.open() }) },
        signal,
      );
      lease.onClose(() => reader.worker.close());
      signal.throwIfAborted();
      const { lost } = reader.worker;
      const onLost = () => {
        if (!reader.worker.closed) void afterChange(files, lost.reason).then((reason) => this.#lose(lease, reason));
      };
      if (lost.aborted) throw lost.reason;
      lost.addEventListener("abort", onLost, { once: true });
      void disk.ended.then((error) => {
        if (error !== undefined) this.#lose(lease, error);
      });
      await files.assertUnchanged();
      this.#log("info", lease, "disk open", { ms: Math.round(performance.now() - startedAt) });
      return reader;
    } catch (error) {
      const cause = signal.aborted ? error : await afterChange(files, error);
      await lease.release();
      throw cause;
    }
  }

  #lose(lease: Lease, error: Error): void {
    if (lease.ending !== undefined) return;
    this.#log("warn", lease, "disk lost", { reason: error.message });
    if (error instanceof PluckError && error.code === "backup_in_use") this.#remember(lease.mountId, error);
    void this.#end(lease, error).then(() => {
      for (const listener of this.#listeners) listener(lease.mountId, error);
    });
  }

  #remember(mountId: string, error: PluckError): void {
    this.#changed.set(mountId, error);
    for (const [oldest] of this.#changed) {
      if (this.#changed.size <= rememberedChanges) break;
      this.#changed.delete(oldest);
    }
  }

  /** Resolves when everything is given back. */
  async #end(lease: Lease, reason: Error): Promise<void> {
    await lease.end(reason);
    this.#forget(lease);
  }

  #forget(lease: Lease): void {
    if (this.#leases.get(lease.mountId) !== lease) return;
    this.#leases.delete(lease.mountId);
    this.#taken.delete(Number(lease.nbdDevice.slice("nbd".length)));
    this.#log("info", lease, "disk closed", {});
  }

  #lowestFreeSlot(): number {
    for (let slot = 0; slot < this.slots; slot += 1) {
      if (!this.#taken.has(slot)) return slot;
    }
    throw new PluckError("nbd_devices_exhausted", `All ${this.slots} export slots of this agent are taken.`, { retryAfterS });
  }

  #log(level: "info" | "warn", lease: Lease, message: string, more: Record<string, unknown>): void {
    const { mountId, nbdDevice, qcow2Path } = lease;
    this.#options.logger?.[level]({ mountId, nbdDevice, qcow2Path, ...more }, message);
  }
}

/** What failed while the disk's files changed failed for that reason. */
async function afterChange<E>(disk: Pick<Export, "assertUnchanged">, error: E): Promise<E | PluckError> {
  try {
    await disk.assertUnchanged();
    return error;
  } catch (change) {
    return change instanceof PluckError && change.code === "backup_in_use" ? change : error;
  }
}
