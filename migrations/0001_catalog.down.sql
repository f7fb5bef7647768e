-- Not run for an adopted catalog: there only what adoption added is taken away again.
DROP TABLE IF EXISTS backup_chains;
DROP TABLE IF EXISTS backup_disks;
DROP TABLE IF EXISTS backup_jobs;
DROP TABLE IF EXISTS vm_backup_contexts;
