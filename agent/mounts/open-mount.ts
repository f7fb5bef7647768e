import type { DiskReader } from "../reader/disk-reader.ts";
import type { jwksSchema } from "../../shared/messages.ts";
import type { z } from "zod";

/** One open disk as the HTTP side and the commands see it. */
export interface OpenMount {
  readonly mountId: string;
  /** The export slot it holds: "nbd0" … */
  readonly nbdDevice: string;
  /** Relative to the repository's root. */
  readonly qcow2Path: string;
  readonly reader: DiskReader;
  /** Public keys of the coordinators that may sign links for it. */
  readonly jwks: z.infer<typeof jwksSchema>;
  /** The origin whose pages may read answers (CORS); null for none. */
  readonly webOrigin: string | null;
  /** Aborted when the mount ends, with a PluckError as the reason: every running transfer breaks off. */
  readonly ended: AbortSignal;
  readonly lastAccessedAt: Date;
  /** Transfers running now. */
  readonly transfers: number;
  /**
   * Resolves when no file of the backing chain has changed since the mount was opened; to be awaited
   * after the last read of whatever is answered, before the answer is complete.
   * @throws PluckError backup_in_use when a job is at work on the backup: the mount ends
   */
  assertUnchanged(): Promise<void>;
  /** Marks an access now: the lease slides. */
  touch(): void;
  /** Counts a running transfer, which keeps the lease alive; call the result once when it is over. */
  beginTransfer(): () => void;
}

/** The open disks of this agent. */
export interface OpenMounts {
  /** Slots in all. */
  readonly slots: number;
  /** The origin that the last mount was opened for: its page may also read that a mount has ended. */
  readonly lastWebOrigin: string | null;
  /**
   * Opens a disk under `mountId`; when it is open (or being opened) under that id with the same path, answers with that.
   * A known id with another path ends the old one first. New keys or origin replace the old.
   * A mount that ended because its files changed is not opened again under its id: backup_in_use, until `end`.
   * @throws PluckError nbd_devices_exhausted, qcow2_missing, chain_outside_repository, backup_in_use, unsupported, corrupt, io_error
   */
  open(request: OpenRequest): Promise<OpenMount>;
  /** Ends it and gives its slot back; false when it was not open. Resolves when qemu-nbd is gone. */
  end(mountId: string, reason?: Error): Promise<boolean>;
  get(mountId: string): OpenMount | undefined;
  list(): OpenMount[];
  /** Ids being opened now. */
  opening(): string[];
  /** Calls back when a mount ended by itself (its reader or qemu-nbd was lost for good, its files changed). */
  onLost(listener: (mountId: string, error: Error) => void): void;
  close(): Promise<void>;
}

export interface OpenRequest {
  readonly mountId: string;
  readonly qcow2Path: string;
  /** The other disks of the same backup, relative to the repository's root: opened when a volume spans disks. */
  readonly siblingPaths?: readonly string[];
  readonly jwks: OpenMount["jwks"];
  readonly webOrigin: string | null;
}
