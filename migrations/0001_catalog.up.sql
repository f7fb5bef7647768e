-- The catalog: contexts -> jobs -> disks, and the chains. Where a catalog of the backup system
-- (Sendense 2.16 or later) is there already, this file is not run: it is adopted as it is
-- (coordinator/database/adopt-catalog.ts).
-- Names, ids and paths are compared bytewise. Times are UTC.

CREATE TABLE IF NOT EXISTS vm_backup_contexts (
  context_id VARCHAR(64) NOT NULL,
  vm_name VARCHAR(255) NOT NULL,
  repository_id VARCHAR(64) NOT NULL,
  total_backups_run INT NOT NULL DEFAULT 0,
  successful_backups INT NOT NULL DEFAULT 0,
  failed_backups INT NOT NULL DEFAULT 0,
  last_backup_id VARCHAR(64) NULL,
  last_backup_type VARCHAR(16) NULL,
  last_backup_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (context_id),
  UNIQUE KEY uk_pluck_contexts_vm (vm_name, repository_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS backup_jobs (
  id VARCHAR(64) NOT NULL,
  vm_backup_context_id VARCHAR(64) NOT NULL,
  vm_name VARCHAR(255) NOT NULL,
  backup_type VARCHAR(16) NOT NULL,
  status VARCHAR(16) NOT NULL DEFAULT 'pending',
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  completed_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  KEY ix_pluck_jobs_context (vm_backup_context_id),
  KEY ix_pluck_jobs_vm (vm_name, created_at),
  CONSTRAINT fk_pluck_jobs_context FOREIGN KEY (vm_backup_context_id)
    REFERENCES vm_backup_contexts (context_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS backup_disks (
  id BIGINT NOT NULL AUTO_INCREMENT,
  vm_backup_context_id VARCHAR(64) NOT NULL,
  backup_job_id VARCHAR(64) NOT NULL,
  disk_index INT NOT NULL,
  vmware_disk_key INT NULL,
  size_gb BIGINT NOT NULL DEFAULT 0,
  size_bytes BIGINT NULL,
  qcow2_path VARCHAR(4096) NULL,
  disk_change_id VARCHAR(255) NULL,
  status VARCHAR(16) NOT NULL DEFAULT 'pending',
  error_message TEXT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  completed_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_pluck_disks_job_index (backup_job_id, disk_index),
  KEY ix_pluck_disks_context (vm_backup_context_id, disk_index, status),
  CONSTRAINT fk_pluck_disks_context FOREIGN KEY (vm_backup_context_id)
    REFERENCES vm_backup_contexts (context_id) ON DELETE CASCADE,
  CONSTRAINT fk_pluck_disks_job FOREIGN KEY (backup_job_id)
    REFERENCES backup_jobs (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS backup_chains (
  id VARCHAR(64) NOT NULL,
  vm_context_id VARCHAR(64) NOT NULL,
  disk_id INT NOT NULL,
  full_backup_id VARCHAR(64) NOT NULL,
  latest_backup_id VARCHAR(64) NOT NULL,
  total_backups INT NOT NULL DEFAULT 0,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY uk_pluck_chains_disk (vm_context_id, disk_id),
  CONSTRAINT fk_pluck_chains_context FOREIGN KEY (vm_context_id)
    REFERENCES vm_backup_contexts (context_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
