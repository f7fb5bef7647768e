-- The sites: a repository is a folder of backups; an agent serves one.

CREATE TABLE IF NOT EXISTS repositories (
  id VARCHAR(64) NOT NULL,
  name VARCHAR(255) NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS agents (
  id VARCHAR(64) NOT NULL,
  name VARCHAR(255) NOT NULL,
  repository_id VARCHAR(64) NOT NULL,
  -- hex SHA-256 of a 256-bit random password
  broker_password_sha256 CHAR(64) NOT NULL,
  public_url VARCHAR(2048) NULL,
  version VARCHAR(64) NULL,
  -- made anew at each start of the agent
  session VARCHAR(64) NULL,
  online TINYINT NOT NULL DEFAULT 0,
  slots_total INT NOT NULL DEFAULT 0,
  slots_used INT NOT NULL DEFAULT 0,
  last_seen_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  KEY ix_pluck_agents_repository (repository_id),
  CONSTRAINT fk_pluck_agents_repository FOREIGN KEY (repository_id)
    REFERENCES repositories (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Every repository that backups are in already. The catalog may compare ids without regard to case, so bytewise here.
INSERT IGNORE INTO repositories (id, name)
SELECT found.id, found.id FROM (
  SELECT DISTINCT CONVERT(repository_id USING utf8mb4) COLLATE utf8mb4_bin AS id
  FROM vm_backup_contexts WHERE repository_id <> ''
) AS found;
