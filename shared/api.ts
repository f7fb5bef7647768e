import { z } from "@hono/zod-openapi";
import { archiveFormats, linkOperations, maxLinkLifeS } from "./link.ts";
import { idPattern, maxVolumeNameLength, volumeSchema } from "./messages.ts";
import { maxSecretBytes } from "./sealed-secret.ts";

/** The REST schemas: they validate requests, type the handlers and make /openapi.json. */

const timestamp = z.iso.datetime({ offset: true });
const nullableTimestamp = timestamp.nullable();
export const idSchema = z.string().regex(idPattern, "1 to 64 characters: letters, digits, dot, dash, underscore");
/** Names people gave to VMs: anything printable. */
const vmName = z.string().min(1).max(255);
export const maxDiskIndex = 255;
export const diskIndexSchema = z.number().int().min(0).max(maxDiskIndex);

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    request_id: z.string().optional(),
  })
  .openapi("Problem");

// Sites

export const repositorySchema = z
  .object({ id: z.string(), name: z.string(), agent_id: z.string().nullable(), online: z.boolean() })
  .openapi("Repository");
export const createRepositorySchema = z.strictObject({ id: idSchema, name: z.string().min(1).max(255).optional() }).openapi("CreateRepository");

export const agentSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    repository_id: z.string(),
    public_url: z.string().nullable(),
    version: z.string().nullable(),
    online: z.boolean(),
    last_seen_at: nullableTimestamp,
    slots_total: z.number().int(),
    slots_used: z.number().int(),
  })
  .openapi("Agent");
export const createAgentSchema = z
  .strictObject({ id: idSchema, name: z.string().min(1).max(255).optional(), repository_id: idSchema })
  .openapi("CreateAgent");
export const createdAgentSchema = agentSchema.extend({ broker_password: z.string() }).openapi("CreatedAgent");

// Backups

export const backupDiskSchema = z
  .object({
    disk_index: z.number().int(),
    vmware_disk_key: z.number().int().nullable(),
    /** Virtual size, rounded up to whole GiB, as the catalog of the backup system has it. */
    size_gb: z.number().int(),
    size_bytes: z.number().int().nullable(),
    /** What this point's own qcow2 file takes up, holes not counted; the files that it stands on are not in it. Null when unknown. */
    stored_bytes: z.number().int().nullable(),
    qcow2_path: z.string().nullable(),
    status: z.string(),
    mountable: z.boolean(),
    mount_id: z.string().optional(),
  })
  .openapi("BackupDisk");
export const backupDisksSchema = z.object({ backup_id: z.string(), disks: z.array(backupDiskSchema) }).openapi("BackupDisks");

export const backupSchema = z
  .object({
    backup_id: z.string(),
    vm_name: z.string(),
    repository_id: z.string(),
    backup_type: z.string(),
    status: z.string(),
    created_at: nullableTimestamp,
    completed_at: nullableTimestamp,
    disks: z.array(backupDiskSchema),
  })
  .openapi("Backup");
export const backupListSchema = z.object({ backups: z.array(backupSchema), next: z.string().optional() }).openapi("BackupList");

export const vmSchema = z
  .object({
    vm_name: z.string(),
    repositories: z.array(z.object({ id: z.string(), name: z.string(), online: z.boolean() })),
    /** All there are, failed ones included. */
    restore_points: z.number().int(),
    /** The newest, whatever its status; null when there is none. */
    latest: z.object({ backup_id: z.string(), backup_type: z.string(), status: z.string(), completed_at: nullableTimestamp }).nullable(),
  })
  .openapi("Vm");
export const vmListSchema = z.object({ vms: z.array(vmSchema), next: z.string().optional() }).openapi("VmList");

export const registerBackupSchema = z
  .strictObject({
    vm_name: vmName,
    repository_id: idSchema,
    backup_id: idSchema.optional(),
    backup_type: z.enum(["full", "incremental"]).optional(),
    completed_at: timestamp.optional(),
    disks: z
      .array(
        z.strictObject({
          disk_index: diskIndexSchema,
          qcow2_path: z.string().min(1).max(4096),
          vmware_disk_key: z.number().int().min(0).max(2 ** 31 - 1).optional(),
        }),
      )
      .min(1)
      .max(maxDiskIndex + 1),
  })
  .openapi("RegisterBackup");

export const scanResultSchema = z
  .object({
    repository_id: z.string(),
    registered: z.array(z.string()),
    already_known: z.number().int(),
    problems: z.array(z.object({ qcow2_path: z.string(), code: z.string(), detail: z.string() })),
    truncated: z.boolean(),
  })
  .openapi("ScanResult");

// Mounts

export const mountRequestSchema = z.strictObject({ backup_id: z.string().min(1).max(64), disk_index: diskIndexSchema.default(0) }).openapi("MountRequest");

export const mountStatuses = ["mounting", "mounted", "unmounting", "failed"] as const;
export type MountStatus = (typeof mountStatuses)[number];

export const mountSchema = z
  .object({
    mount_id: z.string(),
    backup_id: z.string(),
    backup_disk_id: z.number().int(),
    disk_index: z.number().int(),
    agent_id: z.string(),
    /** The agent's export slot; null once given back. */
    nbd_device: z.string().nullable(),
    /** Where the agent serves it: `{agent public url}/v1/mounts/{mount_id}`. */
    mount_path: z.string().nullable(),
    filesystem_type: z.string().nullable(),
    volumes: z.array(volumeSchema),
    status: z.enum(mountStatuses),
    created_at: timestamp,
    last_accessed_at: timestamp,
    expires_at: timestamp,
    error: z.object({ code: z.string(), detail: z.string() }).optional(),
  })
  .openapi("Mount");
export type Mount = z.infer<typeof mountSchema>;
export const mountListSchema = z.object({ mounts: z.array(mountSchema) }).openapi("MountList");

/** Longest keyfile in base64. */
const maxKeyLength = Math.ceil(maxSecretBytes / 3) * 4;
export const unlockRequestSchema = z
  .strictObject({
    /** Its name: "p3". */
    volume: z.string().min(1).max(maxVolumeNameLength),
    passphrase: z.string().min(1).max(4096).optional(),
    /** The contents of a keyfile, base64. */
    key: z.base64("must be the contents of a keyfile in base64").min(1).max(maxKeyLength).optional(),
  })
  .openapi("UnlockRequest");
export type UnlockRequest = z.infer<typeof unlockRequestSchema>;

export const createLinkSchema = z
  .strictObject({
    operation: z.enum(linkOperations),
    path: z.string(),
    format: z.enum(archiveFormats).optional(),
    /** With download: the path is a volume, and its bytes are meant as the disk holds them. */
    raw: z.boolean().optional(),
    ttl_s: z.number().int().min(1).max(maxLinkLifeS).optional(),
  })
  .openapi("CreateLink");
export const createdLinkSchema = z.object({ url: z.string(), expires_at: timestamp }).openapi("CreatedLink");

export const maxArchiveItems = 10_000;
export const createArchiveSchema = z
  .strictObject({
    format: z.enum(archiveFormats).default("zip"),
    /** What the archive is called, without its ending; by default after the backup or the VM. */
    name: z.string().min(1).max(200).optional(),
    items: z.array(z.strictObject({ mount_id: idSchema, path: z.string() })).min(1).max(maxArchiveItems),
  })
  .openapi("CreateArchive");
export const createdArchiveSchema = z
  .object({
    /** POST to it, as application/x-www-form-urlencoded, with `selection` as the only field. */
    url: z.string(),
    /** What was selected, to be sent as it is: the link holds its hash. */
    selection: z.string(),
    expires_at: timestamp,
  })
  .openapi("CreatedArchive");

// What the agent serves behind a signed link

export const entrySchema = z
  .object({
    name: z.string(),
    /** The exact form: use it as it is in the next request. */
    path: z.string(),
    type: z.enum(["file", "directory", "symlink", "other"]),
    /** Exact: a number up to 2^53 − 1, a decimal string beyond. */
    size: z.union([z.number().int(), z.string()]).nullable(),
    /** Permission bits in octal, four digits: "0644". */
    mode: z.string().nullable(),
    uid: z.number().int().nullable(),
    gid: z.number().int().nullable(),
    modified_at: z.string().nullable(),
    symlink_target: z.string().optional(),
    /** Of a file in a listing: only where it has other names too. */
    hard_links: z.number().int().nullable().optional(),
    error: z.object({ code: z.string(), detail: z.string() }).optional(),
  })
  .openapi("Entry");
export type Entry = z.infer<typeof entrySchema>;

export const listingSchema = z
  .object({ mount_id: z.string(), path: z.string(), entries: z.array(entrySchema), next: z.string().optional() })
  .openapi("Listing");
export type Listing = z.infer<typeof listingSchema>;

/** What `hash=` of file-info may be. */
export const hashAlgorithms = ["sha256"] as const;

export const fileInfoSchema = entrySchema
  .extend({
    mount_id: z.string(),
    hard_links: z.number().int().nullable(),
    accessed_at: z.string().nullable(),
    changed_at: z.string().nullable(),
    created_at: z.string().nullable(),
    /** Base64 of each value. */
    xattrs: z.record(z.string(), z.string()),
    /** Of the file's bytes, hex; only when asked for with `hash=sha256`. Of a symlink, of the file that it leads to. */
    sha256: z.string().optional(),
    device: z.object({ major: z.number().int(), minor: z.number().int() }).optional(),
    /** Of the guest's own tree: the volume of its /etc/fstab, and what became of each line. */
    guest: z
      .object({
        root: z.string(),
        mounts: z.array(
          z.object({ source: z.string(), mount_point: z.string(), type: z.string(), options: z.string(), volume: z.string().nullable(), problem: z.string().nullable() }),
        ),
      })
      .optional(),
  })
  .openapi("FileInfo");
export type FileInfo = z.infer<typeof fileInfoSchema>;

export const defaultListingLimit = 1000;
export const maxListingLimit = 10_000;

// Operations

export const resourcesSchema = z
  .object({
    agents: z.array(
      z.object({ agent_id: z.string(), online: z.boolean(), slots_total: z.number().int(), slots_used: z.number().int(), slots_free: z.number().int() }),
    ),
  })
  .openapi("Resources");

export const cleanupStatusSchema = z
  .object({
    idle_timeout_s: z.number().int(),
    last_run_at: nullableTimestamp,
    next_run_at: nullableTimestamp,
    ended_total: z.number().int(),
    expiring: z.array(z.object({ mount_id: z.string(), expires_at: timestamp })),
  })
  .openapi("CleanupStatus");

export const eventSchema = z
  .object({
    id: z.number().int(),
    at: timestamp,
    type: z.string(),
    actor: z.string().nullable(),
    backup_id: z.string().nullable(),
    disk_index: z.number().int().nullable(),
    mount_id: z.string().nullable(),
    agent_id: z.string().nullable(),
    operation: z.string().nullable(),
    path: z.string().nullable(),
    bytes: z.number().int().nullable(),
    outcome: z.string().nullable(),
  })
  .openapi("Event");
export const eventListSchema = z.object({ events: z.array(eventSchema), next: z.string().optional() }).openapi("EventList");

export const roles = ["admin", "operator"] as const;
export const sessionSchema = z.object({ name: z.string(), role: z.enum(roles) }).openapi("Session");

export const tokenSchema = z
  .object({ id: z.string(), name: z.string(), role: z.enum(roles), created_at: timestamp, last_used_at: nullableTimestamp, expires_at: nullableTimestamp })
  .openapi("ApiToken");
export const createTokenSchema = z
  .strictObject({ name: z.string().min(1).max(255), role: z.enum(roles).default("operator"), ttl_s: z.number().int().min(60).optional() })
  .openapi("CreateApiToken");
export const createdTokenSchema = tokenSchema.extend({ token: z.string() }).openapi("CreatedApiToken");
