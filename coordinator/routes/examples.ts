/** Worked examples for /openapi.json: one backup with two disks, through the whole API. */
const backupId = "backup-pgtest1-1759947871";

export const registerExamples = {
  twoDisks: {
    summary: "A full backup of two disks",
    value: {
      vm_name: "pgtest1",
      repository_id: "site-a",
      backup_id: backupId,
      backup_type: "full",
      completed_at: "2025-10-08T19:24:31Z",
      disks: [
        { disk_index: 0, qcow2_path: "pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2", vmware_disk_key: 2000 },
        { disk_index: 1, qcow2_path: "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2", vmware_disk_key: 2001 },
      ],
    },
  },
  oneDisk: {
    summary: "One disk; its id, type and time are found out",
    value: { vm_name: "web", repository_id: "site-a", disks: [{ disk_index: 0, qcow2_path: "web/disk-0/web-disk0-20251008-200000.qcow2" }] },
  },
};

export const disksExample = {
  backup_id: backupId,
  disks: [
    {
      disk_index: 0, vmware_disk_key: 2000, size_gb: 102, size_bytes: 109_521_666_048,
      qcow2_path: "pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2", status: "completed", mountable: true, mount_id: "mnt-Zk3v8Qe1",
    },
    {
      disk_index: 1, vmware_disk_key: 2001, size_gb: 5, size_bytes: 5_368_709_120,
      qcow2_path: "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2", status: "completed", mountable: true,
    },
  ],
};

export const mountExamples = {
  disk0: { summary: "Disk 0; so does leaving disk_index out", value: { backup_id: backupId, disk_index: 0 } },
  disk1: { summary: "The second disk of the same backup", value: { backup_id: backupId, disk_index: 1 } },
  oneDisk: { summary: "A backup of one disk", value: { backup_id: "backup-singledisk-123" } },
};
