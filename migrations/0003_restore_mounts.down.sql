-- Mounts that are still open end when no row asks for them any more. An older table comes back as it was.
SET @pluck_ours = (SELECT COUNT(*) FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'restore_mounts' AND COLUMN_NAME = 'state_changed_at');
SET @pluck_ddl = IF(@pluck_ours = 1, 'DROP TABLE restore_mounts', 'DO 0');
PREPARE pluck_statement FROM @pluck_ddl;
EXECUTE pluck_statement;
DEALLOCATE PREPARE pluck_statement;

SET @pluck_older = (SELECT COUNT(*) FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'restore_mounts_before_pluck');
SET @pluck_ddl = IF(@pluck_older = 1, 'RENAME TABLE restore_mounts_before_pluck TO restore_mounts', 'DO 0');
PREPARE pluck_statement FROM @pluck_ddl;
EXECUTE pluck_statement;
DEALLOCATE PREPARE pluck_statement;
