SET @pluck_ours = (SELECT COUNT(*) FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'backup_disks' AND COLUMN_NAME = 'stored_bytes' AND COLUMN_COMMENT = 'added by Pluck');
SET @pluck_ddl = IF(@pluck_ours = 1, 'ALTER TABLE backup_disks DROP COLUMN stored_bytes', 'DO 0');
PREPARE pluck_statement FROM @pluck_ddl;
EXECUTE pluck_statement;
DEALLOCATE PREPARE pluck_statement;
