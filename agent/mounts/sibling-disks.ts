import type { PluckError } from "../../shared/errors.ts";
import { type Export, openExport } from "../export/export.ts";
import type { SiblingSocket } from "../reader/protocol.ts";

export interface SiblingOptions {
  readonly repositoryRoot: string;
  readonly runDir: string;
  /** Relative to the repository's root. */
  readonly paths: readonly string[];
  /** One of their qemu-nbd was lost for good. */
  readonly onLost: (error: PluckError) => void;
}

/** The other disks of a mount's backup: opened when its reader needs them, closed with it. They take no slot. */
export class SiblingDisks {
  readonly #options: SiblingOptions;
  readonly #open: Export[] = [];
  #opening: Promise<readonly SiblingSocket[]> | undefined;
  #closed = false;

  constructor(options: SiblingOptions) {
    this.#options = options;
  }

  /** Opens all, once. One that can't be opened has no socket; never rejects. */
  open(): Promise<readonly SiblingSocket[]> {
    this.#opening ??= Promise.all(this.#options.paths.map((path) => this.#openOne(path)));
    return this.#opening;
  }

  /** @throws PluckError backup_in_use when a file of one that is open changed */
  async assertUnchanged(): Promise<void> {
    await Promise.all(this.#open.map((disk) => disk.assertUnchanged()));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening;
    await Promise.all(this.#open.splice(0).map((disk) => disk.close()));
  }

  async #openOne(path: string): Promise<SiblingSocket> {
    if (this.#closed) return { name: path, socketPath: undefined, diskId: "" };
    const { repositoryRoot, runDir, onLost } = this.#options;
    try {
      const disk = await openExport({ repositoryRoot, path, runDir });
      this.#open.push(disk);
      void disk.ended.then((error) => {
        if (error !== undefined) onLost(error);
      });
      return { name: path, socketPath: disk.socketPath, diskId: disk.identity };
    } catch {
      // The volumes that need it say that it was not opened; the others don't suffer.
      return { name: path, socketPath: undefined, diskId: "" };
    }
  }
}
