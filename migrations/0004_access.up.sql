-- Who may call the API, the keys that sign links, and the audit trail.

CREATE TABLE IF NOT EXISTS api_tokens (
  id VARCHAR(64) NOT NULL,
  name VARCHAR(255) NOT NULL,
  role ENUM('admin', 'operator') NOT NULL,
  -- hex SHA-256 of a 256-bit random token; the token itself is stored nowhere
  token_sha256 CHAR(64) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  last_used_at DATETIME(3) NULL,
  expires_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_pluck_tokens_hash (token_sha256)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS signing_keys (
  kid VARCHAR(64) NOT NULL,
  private_jwk JSON NOT NULL,
  -- 1 for the one that signs, NULL for the others: unique, so several coordinators agree on one
  active TINYINT NULL,
  created_at DATETIME(3) NOT NULL,
  retired_at DATETIME(3) NULL,
  PRIMARY KEY (kid),
  UNIQUE KEY uk_pluck_keys_active (active)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- No foreign keys: what happened stays on record when the backup is gone.
CREATE TABLE IF NOT EXISTS restore_events (
  id BIGINT NOT NULL AUTO_INCREMENT,
  -- given by whoever reports it: a repeated report changes nothing
  event_id VARCHAR(64) NOT NULL,
  at DATETIME(3) NOT NULL,
  type VARCHAR(32) NOT NULL,
  actor VARCHAR(255) NULL,
  backup_id VARCHAR(64) NULL,
  disk_index INT NULL,
  mount_id VARCHAR(64) NULL,
  agent_id VARCHAR(64) NULL,
  link_id VARCHAR(64) NULL,
  operation VARCHAR(32) NULL,
  path MEDIUMTEXT NULL,
  bytes BIGINT NULL,
  outcome VARCHAR(64) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uk_pluck_events_event (event_id),
  KEY ix_pluck_events_mount (mount_id, id),
  KEY ix_pluck_events_backup (backup_id, id),
  KEY ix_pluck_events_type (type, id),
  KEY ix_pluck_events_actor (actor, id),
  KEY ix_pluck_events_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
