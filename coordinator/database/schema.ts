import { bigint, boolean, char, datetime, int, json, mediumtext, mysqlEnum, mysqlTable, text, varchar } from "drizzle-orm/mysql-core";
import type { JWK } from "jose";
import { mountStatuses } from "../../shared/api.ts";
import type { VolumeSummary } from "../../shared/messages.ts";

/**
 * The tables as queries see them. The migrations in ../../migrations are what makes them; keys and
 * references stand there. An adopted catalog may type its columns a little otherwise (TIMESTAMP for
 * DATETIME, ENUM for VARCHAR, more columns): what is written here holds for both.
 */
const id = (name: string) => varchar(name, { length: 64 });
const instant = (name: string) => datetime(name, { mode: "date", fsp: 3 });

export const vmBackupContexts = mysqlTable("vm_backup_contexts", {
  contextId: id("context_id").primaryKey(),
  vmName: varchar("vm_name", { length: 255 }).notNull(),
  repositoryId: id("repository_id").notNull(),
  totalBackupsRun: int("total_backups_run"),
  successfulBackups: int("successful_backups"),
  failedBackups: int("failed_backups"),
  lastBackupId: id("last_backup_id"),
  lastBackupType: varchar("last_backup_type", { length: 16 }),
  lastBackupAt: instant("last_backup_at"),
  createdAt: instant("created_at"),
  updatedAt: instant("updated_at"),
});

export const backupJobs = mysqlTable("backup_jobs", {
  id: id("id").primaryKey(),
  /** Null in some adopted rows: jobs from before the contexts. */
  vmBackupContextId: id("vm_backup_context_id"),
  vmName: varchar("vm_name", { length: 255 }).notNull(),
  backupType: varchar("backup_type", { length: 16 }).notNull(),
  status: varchar("status", { length: 16 }).notNull(),
  createdAt: instant("created_at"),
  completedAt: instant("completed_at"),
});

export const backupDisks = mysqlTable("backup_disks", {
  id: bigint("id", { mode: "number" }).autoincrement().primaryKey(),
  vmBackupContextId: id("vm_backup_context_id").notNull(),
  backupJobId: id("backup_job_id").notNull(),
  diskIndex: int("disk_index").notNull(),
  vmwareDiskKey: int("vmware_disk_key"),
  /** Virtual size in whole GiB, rounded up. */
  sizeGb: bigint("size_gb", { mode: "number" }).notNull(),
  sizeBytes: bigint("size_bytes", { mode: "number" }),
  /** What its qcow2 file itself takes up; null where no agent said so yet. */
  storedBytes: bigint("stored_bytes", { mode: "number" }),
  /** Relative to the repository's root; an adopted catalog has absolute ones. */
  qcow2Path: varchar("qcow2_path", { length: 4096 }),
  diskChangeId: varchar("disk_change_id", { length: 255 }),
  status: varchar("status", { length: 16 }),
  errorMessage: text("error_message"),
  createdAt: instant("created_at"),
  completedAt: instant("completed_at"),
});

export const backupChains = mysqlTable("backup_chains", {
  vmContextId: id("vm_context_id").notNull(),
  diskId: int("disk_id").notNull(),
  fullBackupId: id("full_backup_id").notNull(),
  latestBackupId: id("latest_backup_id").notNull(),
  totalBackups: int("total_backups"),
});

export const repositories = mysqlTable("repositories", {
  id: id("id").primaryKey(),
  name: varchar("name", { length: 255 }).notNull(),
  createdAt: instant("created_at").notNull(),
});

export const agents = mysqlTable("agents", {
  id: id("id").primaryKey(),
  name: varchar("name", { length: 255 }).notNull(),
  repositoryId: id("repository_id").notNull(),
  /** Hex SHA-256 of the 256-bit random password that the agent has at the embedded broker. */
  brokerPasswordSha256: char("broker_password_sha256", { length: 64 }).notNull(),
  publicUrl: varchar("public_url", { length: 2048 }),
  version: varchar("version", { length: 64 }),
  session: id("session"),
  online: boolean("online").notNull().default(false),
  slotsTotal: int("slots_total").notNull().default(0),
  slotsUsed: int("slots_used").notNull().default(0),
  lastSeenAt: instant("last_seen_at"),
  createdAt: instant("created_at").notNull(),
});

export const restoreMounts = mysqlTable("restore_mounts", {
  id: id("id").primaryKey(),
  backupDiskId: bigint("backup_disk_id", { mode: "number" }).notNull(),
  agentId: id("agent_id").notNull(),
  /** The export slot held; null once given back. */
  nbdDevice: varchar("nbd_device", { length: 32 }),
  mountPath: varchar("mount_path", { length: 2048 }),
  filesystemType: varchar("filesystem_type", { length: 1024 }),
  volumes: json("volumes").$type<VolumeSummary[]>(),
  sizeBytes: bigint("size_bytes", { mode: "number" }),
  status: mysqlEnum("status", mountStatuses).notNull(),
  errorCode: varchar("error_code", { length: 64 }),
  errorDetail: text("error_detail"),
  /** Raised by one with every change of status: what compare-and-set compares. */
  generation: int("generation").notNull().default(1),
  stateChangedAt: instant("state_changed_at").notNull(),
  /** Until then whoever sent the command waits for its reply; past it anyone may send again. */
  commandDeadline: instant("command_deadline"),
  commandAttempts: int("command_attempts").notNull().default(0),
  createdBy: varchar("created_by", { length: 255 }),
  createdAt: instant("created_at").notNull(),
  updatedAt: instant("updated_at").notNull(),
  lastAccessedAt: instant("last_accessed_at").notNull(),
  expiresAt: instant("expires_at").notNull(),
});
export type RestoreMountRow = typeof restoreMounts.$inferSelect;

export const apiTokens = mysqlTable("api_tokens", {
  id: id("id").primaryKey(),
  name: varchar("name", { length: 255 }).notNull(),
  role: mysqlEnum("role", ["admin", "operator"]).notNull(),
  tokenSha256: char("token_sha256", { length: 64 }).notNull(),
  createdAt: instant("created_at").notNull(),
  lastUsedAt: instant("last_used_at"),
  expiresAt: instant("expires_at"),
});

export const signingKeys = mysqlTable("signing_keys", {
  kid: id("kid").primaryKey(),
  privateJwk: json("private_jwk").$type<JWK>().notNull(),
  /** 1 for the one that signs, null for the others. */
  active: int("active"),
  createdAt: instant("created_at").notNull(),
  retiredAt: instant("retired_at"),
});

export const restoreEvents = mysqlTable("restore_events", {
  id: bigint("id", { mode: "number" }).autoincrement().primaryKey(),
  /** Given by whoever reports it: a repeated report changes nothing. */
  eventId: id("event_id").notNull(),
  at: instant("at").notNull(),
  type: varchar("type", { length: 32 }).notNull(),
  actor: varchar("actor", { length: 255 }),
  backupId: id("backup_id"),
  diskIndex: int("disk_index"),
  mountId: id("mount_id"),
  agentId: id("agent_id"),
  linkId: id("link_id"),
  operation: varchar("operation", { length: 32 }),
  path: mediumtext("path"),
  bytes: bigint("bytes", { mode: "number" }),
  outcome: varchar("outcome", { length: 64 }),
});
