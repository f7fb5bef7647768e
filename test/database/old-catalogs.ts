/**
 * Catalogs as Pluck finds them, with rows: the facts of the layouts (tables, columns, keys, types), in
 * the test's own words.
 */
const rows = `
INSERT INTO vm_backup_contexts (context_id, vm_name, repository_id) VALUES
  ('ctx-backup-pgtest1-20251006-203401', 'pgtest1', 'repo-local-1759780872'),
  ('ctx-backup-web-20251007-010203', 'web 01 (prod)', 'repo-nfs');
INSERT INTO backup_jobs (id, vm_backup_context_id, JOB_EXTRAS vm_name, backup_type, status) VALUES
  ('backup-pgtest1-1759947871', 'ctx-backup-pgtest1-20251006-203401', JOB_VALUES 'pgtest1', 'full', 'completed'),
  ('backup-pgtest1-1759999999', 'ctx-backup-pgtest1-20251006-203401', JOB_VALUES 'pgtest1', 'incremental', 'running');
INSERT INTO backup_disks (vm_backup_context_id, backup_job_id, disk_index, vmware_disk_key, size_gb, qcow2_path, disk_change_id, status) VALUES
  ('ctx-backup-pgtest1-20251006-203401', 'backup-pgtest1-1759947871', 0, 2000, 102, '/backup/ctx/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2', '52 ab/1', 'completed'),
  ('ctx-backup-pgtest1-20251006-203401', 'backup-pgtest1-1759947871', 1, 2001, 5, '/backup/ctx/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2', '52 ab/2', 'completed'),
  ('ctx-backup-pgtest1-20251006-203401', 'backup-pgtest1-1759999999', 0, 2000, 102, NULL, NULL, 'running');
`;

/** Sendense 2.16 to 2.22: case-folding collations, TIMESTAMP and ENUM columns, columns of its own, and the first restore_mounts, hung on the job. */
export const sendense216 = `
CREATE TABLE backup_repositories (id VARCHAR(64) PRIMARY KEY, name VARCHAR(255) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE vm_replication_contexts (context_id VARCHAR(64) PRIMARY KEY, vm_name VARCHAR(255)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO backup_repositories VALUES ('repo-local-1759780872', 'local'), ('repo-nfs', 'nfs');
INSERT INTO vm_replication_contexts VALUES ('ctx-pgtest1', 'pgtest1');
CREATE TABLE vm_backup_contexts (
  context_id VARCHAR(64) PRIMARY KEY, vm_name VARCHAR(255) NOT NULL, vmware_vm_id VARCHAR(255) NOT NULL DEFAULT '',
  vm_path VARCHAR(500) NOT NULL DEFAULT '', vcenter_host VARCHAR(255) NOT NULL DEFAULT '', datacenter VARCHAR(255) NOT NULL DEFAULT '',
  repository_id VARCHAR(64) NOT NULL, total_backups_run INT DEFAULT 0, successful_backups INT DEFAULT 0, failed_backups INT DEFAULT 0,
  last_backup_id VARCHAR(64) DEFAULT NULL, last_backup_type ENUM('full','incremental') DEFAULT NULL, last_backup_at TIMESTAMP NULL DEFAULT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  FOREIGN KEY (repository_id) REFERENCES backup_repositories(id) ON DELETE RESTRICT,
  UNIQUE KEY uk_vm_backup (vm_name, repository_id), INDEX idx_vm_name (vm_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='Master context';
CREATE TABLE backup_jobs (
  id VARCHAR(64) PRIMARY KEY, vm_backup_context_id VARCHAR(64) DEFAULT NULL, vm_context_id VARCHAR(64) NOT NULL, vm_name VARCHAR(255) NOT NULL,
  repository_id VARCHAR(64) NOT NULL, backup_type ENUM('full','incremental','differential') NOT NULL,
  status ENUM('pending','running','completed','failed','cancelled') NOT NULL DEFAULT 'pending', repository_path VARCHAR(512) NOT NULL,
  disk_id INT DEFAULT 0, change_id VARCHAR(191) NULL, bytes_transferred BIGINT DEFAULT 0, error_message TEXT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, started_at TIMESTAMP NULL, completed_at TIMESTAMP NULL,
  INDEX idx_backup_context (vm_backup_context_id),
  CONSTRAINT fk_backup_job_context FOREIGN KEY (vm_backup_context_id) REFERENCES vm_backup_contexts(context_id) ON DELETE CASCADE,
  FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts(context_id) ON DELETE CASCADE,
  FOREIGN KEY (repository_id) REFERENCES backup_repositories(id) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE backup_disks (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, vm_backup_context_id VARCHAR(64) NOT NULL, backup_job_id VARCHAR(64) NOT NULL,
  disk_index INT NOT NULL COMMENT 'Sequential', vmware_disk_key INT NOT NULL DEFAULT 0, size_gb BIGINT NOT NULL DEFAULT 0, unit_number INT DEFAULT NULL,
  disk_change_id VARCHAR(255) DEFAULT NULL, qcow2_path VARCHAR(512) DEFAULT NULL, bytes_transferred BIGINT DEFAULT 0,
  status ENUM('pending','running','completed','failed') DEFAULT 'pending', error_message TEXT DEFAULT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, completed_at TIMESTAMP NULL DEFAULT NULL,
  FOREIGN KEY (vm_backup_context_id) REFERENCES vm_backup_contexts(context_id) ON DELETE CASCADE,
  FOREIGN KEY (backup_job_id) REFERENCES backup_jobs(id) ON DELETE CASCADE,
  UNIQUE KEY uk_backup_disk (backup_job_id, disk_index), INDEX idx_change_id_lookup (vm_backup_context_id, disk_index, status)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE backup_chains (
  id VARCHAR(64) PRIMARY KEY, vm_context_id VARCHAR(64) NOT NULL, disk_id INT NOT NULL, full_backup_id VARCHAR(64) NOT NULL, latest_backup_id VARCHAR(64) NOT NULL,
  total_backups INT DEFAULT 0, total_size_bytes BIGINT DEFAULT 0, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  FOREIGN KEY (vm_context_id) REFERENCES vm_backup_contexts(context_id) ON DELETE CASCADE, UNIQUE KEY unique_vm_disk (vm_context_id, disk_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
${rows.replaceAll("JOB_EXTRAS", "vm_context_id, repository_id, repository_path,").replaceAll("JOB_VALUES", "'ctx-pgtest1', 'repo-local-1759780872', '/multi-disk-parent',")}
INSERT INTO backup_chains (id, vm_context_id, disk_id, full_backup_id, latest_backup_id, total_backups) VALUES
  ('chain-1', 'ctx-backup-pgtest1-20251006-203401', 0, 'backup-pgtest1-1759947871', 'backup-pgtest1-1759947871', 1);
CREATE TABLE restore_mounts (
  id VARCHAR(64) PRIMARY KEY, backup_id VARCHAR(64) NOT NULL, mount_path VARCHAR(512) NOT NULL, nbd_device VARCHAR(32) NOT NULL,
  filesystem_type VARCHAR(32), mount_mode ENUM('read-only') DEFAULT 'read-only', status ENUM('mounting','mounted','unmounting','failed') DEFAULT 'mounting',
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, last_accessed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, expires_at TIMESTAMP NULL DEFAULT NULL,
  FOREIGN KEY (backup_id) REFERENCES backup_jobs(id) ON DELETE CASCADE, UNIQUE KEY uk_nbd_device_active (nbd_device)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO restore_mounts (id, backup_id, mount_path, nbd_device) VALUES ('old-mount', 'backup-pgtest1-1759947871', '/mnt/sendense/restore/x', '/dev/nbd0');
`;

/** The least that ORIGIN's drawing shows: no keys between the tables, no unique disks, ids of another type, no sizes in bytes, no chains; and the later restore_mounts, hung on the disk. */
export const bareCatalog = `
CREATE TABLE vm_backup_contexts (context_id VARCHAR(64) PRIMARY KEY, vm_name VARCHAR(255) NOT NULL, repository_id VARCHAR(64) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
CREATE TABLE backup_jobs (id VARCHAR(64) PRIMARY KEY, vm_backup_context_id VARCHAR(64), vm_name VARCHAR(255), backup_type VARCHAR(20), status VARCHAR(20)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
CREATE TABLE backup_disks (
  id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, vm_backup_context_id VARCHAR(64), backup_job_id VARCHAR(64), disk_index INT, vmware_disk_key INT, size_gb INT,
  qcow2_path TEXT, disk_change_id VARCHAR(255), status VARCHAR(20)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
${rows.replaceAll("JOB_EXTRAS", "").replaceAll("JOB_VALUES", "")}
CREATE TABLE restore_mounts (
  id VARCHAR(64) PRIMARY KEY, backup_disk_id INT UNSIGNED NOT NULL, mount_path VARCHAR(512) NOT NULL, nbd_device VARCHAR(32) NOT NULL,
  status ENUM('mounting','mounted','unmounting','failed','unmounted') NOT NULL DEFAULT 'mounting', expires_at TIMESTAMP NULL DEFAULT NULL,
  CONSTRAINT fk_restore_mount_disk FOREIGN KEY (backup_disk_id) REFERENCES backup_disks(id) ON DELETE CASCADE,
  UNIQUE KEY uk_nbd_device (nbd_device), UNIQUE KEY uk_backup_disk (backup_disk_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
INSERT INTO restore_mounts (id, backup_disk_id, mount_path, nbd_device) VALUES ('old-mount', 1, '/mnt/sendense/restore/x', '/dev/nbd0');
`;
