-- replaces: restore_mounts
-- A mount is a lease on an open disk: one row a disk, at most.
-- A table of that name from an older layout holds only transient state (mounts of a service that no
-- longer runs); it is set aside under another name, so that going down can put it back.

SET @pluck_ours = (SELECT COUNT(*) FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'restore_mounts' AND COLUMN_NAME = 'state_changed_at');
SET @pluck_older = (SELECT COUNT(*) FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'restore_mounts');
SET @pluck_ddl = IF(@pluck_older = 1 AND @pluck_ours = 0,
  'RENAME TABLE restore_mounts TO restore_mounts_before_pluck', 'DO 0');
PREPARE pluck_statement FROM @pluck_ddl;
EXECUTE pluck_statement;
DEALLOCATE PREPARE pluck_statement;

CREATE TABLE IF NOT EXISTS restore_mounts (
  id VARCHAR(64) NOT NULL,
  backup_disk_id BIGINT NOT NULL,
  agent_id VARCHAR(64) NOT NULL,
  -- the agent's export slot ("nbd0" ...); NULL once given back
  nbd_device VARCHAR(32) NULL,
  mount_path VARCHAR(2048) NULL,
  filesystem_type VARCHAR(1024) NULL,
  volumes JSON NULL,
  size_bytes BIGINT NULL,
  status ENUM('mounting', 'mounted', 'unmounting', 'failed') NOT NULL,
  error_code VARCHAR(64) NULL,
  error_detail TEXT NULL,
  -- raised by one with every change of status: what compare-and-set compares
  generation INT NOT NULL DEFAULT 1,
  state_changed_at DATETIME(3) NOT NULL,
  -- until then whoever sent the command waits for its reply; past it anyone may send again
  command_deadline DATETIME(3) NULL,
  command_attempts INT NOT NULL DEFAULT 0,
  created_by VARCHAR(255) NULL,
  created_at DATETIME(3) NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  last_accessed_at DATETIME(3) NOT NULL,
  expires_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_pluck_mounts_disk (backup_disk_id),
  UNIQUE KEY uk_pluck_mounts_slot (agent_id, nbd_device),
  KEY ix_pluck_mounts_status (status, command_deadline),
  KEY ix_pluck_mounts_expires (expires_at),
  CONSTRAINT fk_pluck_mounts_agent FOREIGN KEY (agent_id)
    REFERENCES agents (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The reference to backup_disks takes the type that an adopted catalog gave its id.
SET @pluck_linked = (SELECT COUNT(*) FROM information_schema.TABLE_CONSTRAINTS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'restore_mounts' AND CONSTRAINT_NAME = 'fk_pluck_mounts_disk');
SET @pluck_id_type = (SELECT COLUMN_TYPE FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'backup_disks' AND COLUMN_NAME = 'id');
SET @pluck_ddl = IF(@pluck_linked = 0, CONCAT('ALTER TABLE restore_mounts MODIFY backup_disk_id ', @pluck_id_type,
  ' NOT NULL, ADD CONSTRAINT fk_pluck_mounts_disk FOREIGN KEY (backup_disk_id) REFERENCES backup_disks (id) ON DELETE CASCADE'), 'DO 0');
PREPARE pluck_statement FROM @pluck_ddl;
EXECUTE pluck_statement;
DEALLOCATE PREPARE pluck_statement;
