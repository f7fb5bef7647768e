/** What the demo repository holds: the files that are built, and how they are registered. */

export interface DemoDisk {
  readonly disk_index: number;
  readonly vmware_disk_key: number;
  /** Relative to the repository's root. */
  readonly qcow2_path: string;
}

/** The body of POST /api/v1/backups, without the repository's id. */
export interface DemoBackup {
  readonly backup_id: string;
  readonly vm_name: string;
  readonly backup_type: "full" | "incremental";
  readonly completed_at: string;
  readonly disks: readonly DemoDisk[];
}

const GIB = 1024 ** 3;
export const pgtestRootSizeBytes = 102 * GIB;
export const pgtestDataSizeBytes = 5 * GIB;
export const webSizeBytes = 20 * GIB;

/** The full backup of both disks of pgtest1. */
export const pgtestFull: DemoBackup = {
  backup_id: "backup-pgtest1-1759947871",
  vm_name: "pgtest1",
  backup_type: "full",
  completed_at: "2025-10-08T18:31:07Z",
  disks: [
    { disk_index: 0, vmware_disk_key: 2000, qcow2_path: "pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2" },
    { disk_index: 1, vmware_disk_key: 2001, qcow2_path: "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2" },
  ],
};

/** A day later: only the clusters that changed, over the full backup's files. */
export const pgtestIncremental: DemoBackup = {
  backup_id: "backup-pgtest1-1760034298",
  vm_name: "pgtest1",
  backup_type: "incremental",
  completed_at: "2025-10-09T18:25:44Z",
  disks: [
    { disk_index: 0, vmware_disk_key: 2000, qcow2_path: "pgtest1/disk-0/backup-pgtest1-disk0-20251009-192458.qcow2" },
    { disk_index: 1, vmware_disk_key: 2001, qcow2_path: "pgtest1/disk-1/backup-pgtest1-disk1-20251009-192458.qcow2" },
  ],
};

/** One disk with an MBR, compressed. */
export const webFull: DemoBackup = {
  backup_id: "backup-web01-1759962306",
  vm_name: "web01",
  backup_type: "full",
  completed_at: "2025-10-08T22:27:19Z",
  disks: [{ disk_index: 0, vmware_disk_key: 2000, qcow2_path: "web01/disk-0/backup-web01-disk0-20251008-232506.qcow2" }],
};

/** In the order of registration: a base before what stands on it. */
export const demoBackups: readonly DemoBackup[] = [pgtestFull, pgtestIncremental, webFull];

export function diskPath(backup: DemoBackup, diskIndex: number): string {
  const disk = backup.disks.find((candidate) => candidate.disk_index === diskIndex);
  if (disk === undefined) throw new RangeError(`${backup.backup_id} has no disk ${diskIndex}`);
  return disk.qcow2_path;
}
