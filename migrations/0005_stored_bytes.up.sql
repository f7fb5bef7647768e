-- What a restore point's own file takes up, as its agent found it. The comment marks the column as ours:
-- an adopted catalog may have one of that name, which stays when this is taken back.
SET @pluck_there = (SELECT COUNT(*) FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'backup_disks' AND COLUMN_NAME = 'stored_bytes');
SET @pluck_ddl = IF(@pluck_there = 0,
  'ALTER TABLE backup_disks ADD COLUMN stored_bytes BIGINT NULL COMMENT ''added by Pluck''', 'DO 0');
PREPARE pluck_statement FROM @pluck_ddl;
EXECUTE pluck_statement;
DEALLOCATE PREPARE pluck_statement;
