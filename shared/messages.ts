import { z } from "zod";

/**
 * What coordinator and agents say to each other over MQTT 3.1.1 (JSON payloads). The broker is a
 * doorbell, the database is the truth: every message may be lost, repeated or late.
 *
 * | Topic | From | Payload |
 * |---|---|---|
 * | pluck/v1/agents/{agent_id}/command | coordinator | Command |
 * | pluck/v1/agents/{agent_id}/reply/{instance} | agent | Reply |
 * | pluck/v1/agents/{agent_id}/status | agent, retained; last will | AgentStatus |
 * | pluck/v1/agents/{agent_id}/heartbeat | agent | Heartbeat |
 * | pluck/v1/agents/{agent_id}/events | agent | AgentEvents |
 */
export const topicRoot = "pluck/v1/agents";
export const topics = {
  command: (agentId: string) => `${topicRoot}/${agentId}/command`,
  reply: (agentId: string, instance: string) => `${topicRoot}/${agentId}/reply/${instance}`,
  status: (agentId: string) => `${topicRoot}/${agentId}/status`,
  heartbeat: (agentId: string) => `${topicRoot}/${agentId}/heartbeat`,
  events: (agentId: string) => `${topicRoot}/${agentId}/events`,
};

/** An id that can stand in a topic and a URL. */
export const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const id = z.string().regex(idPattern);

/** Messages larger than this are dropped unread. */
export const maxMessageBytes = 8 * 1024 * 1024;

export const volumeSchema = z.object({
  /** Its name under the mount: "p1", "vg-lv", "disk". */
  name: z.string(),
  path: z.string(),
  kind: z.enum(["disk", "partition", "logical-volume", "array"]),
  size_bytes: z.number().int().nonnegative(),
  filesystem_type: z.string().nullable(),
  label: z.string().nullable(),
  uuid: z.string().nullable(),
  used_bytes: z.number().int().nonnegative().nullable(),
  state: z.enum(["clean", "recovered", "dirty"]).nullable(),
  partition: z
    .object({
      number: z.number().int(),
      table: z.enum(["gpt", "mbr"]),
      type: z.string(),
      uuid: z.string().nullable(),
      label: z.string().nullable(),
      start_bytes: z.number().int().nonnegative(),
    })
    .nullable(),
  readable: z.boolean(),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
});
/** A volume of an open disk as users see it; one that can't be read is still listed, with why. */
export type VolumeSummary = z.infer<typeof volumeSchema>;

export const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })).min(1).max(32) });

/** What an agent tells of one open disk. */
export const openMountSchema = z.object({
  mount_id: id,
  nbd_device: z.string(),
  last_accessed_at: z.iso.datetime(),
  /** Transfers running now; they keep the lease alive. */
  transfers: z.number().int().nonnegative(),
});

export const maxVolumeNameLength = 512;
/** A secret of 64 KiB, in base64 twice over, with its envelope. */
const maxSealedLength = 128 * 1024;

export const sealKeySchema = z.object({
  jwk: z.object({ kty: z.string().max(16), crv: z.string().max(16), x: z.string().max(128), kid: z.string().max(64) }),
  expires_at: z.iso.datetime(),
});
export type SealKey = z.infer<typeof sealKeySchema>;

/** More disks than any virtual machine has. */
export const maxSiblingPaths = 255;

export const commandBodies = {
  /** Opens a disk under this mount id; the same command again answers with what is open. */
  mount: z.object({
    mount_id: id,
    /** Relative to the repository's root. */
    qcow2_path: z.string().min(1).max(4096),
    /** The other disks of the same backup, likewise: opened when a volume spans disks. */
    sibling_paths: z.array(z.string().min(1).max(4096)).max(maxSiblingPaths).optional(),
    /** Public keys for this mount's links. */
    jwks: jwksSchema,
    /** Origin of the web page that may read answers (CORS); null for none. */
    web_origin: z.string().nullable(),
  }),
  /** A public key to encrypt one secret with; used once, within its life. */
  unlock_key: z.object({ mount_id: id }),
  /** Opens an encrypted volume of an open mount. */
  unlock: z.object({
    mount_id: id,
    volume: z.string().min(1).max(maxVolumeNameLength),
    /** From shared/sealed-secret.ts, with a key from `unlock_key`: only the agent can read it. */
    sealed: z.string().min(1).max(maxSealedLength),
  }),
  /** Ends it; succeeds also when nothing is open. */
  unmount: z.object({ mount_id: id }),
  /** Reads a file's chain without opening it: exists, inside the repository, its size. */
  check: z.object({ qcow2_paths: z.array(z.string().min(1).max(4096)).min(1).max(256) }),
  /** Finds qcow2 files by layout `<vm>/disk-<n>/<file>.qcow2`. */
  scan: z.object({}),
} as const;

const openDiskSchema = z.object({
  mount_id: id,
  nbd_device: z.string(),
  /** "ext4" when one volume is readable, "ext4,vfat" when several are, in volume order; null for none. */
  filesystem_type: z.string().nullable(),
  size_bytes: z.number().int().nonnegative(),
  volumes: z.array(volumeSchema),
});

/** What the file itself takes up on the storage, holes not counted, its backing files neither. Absent from an agent of an earlier version. */
const storedBytes = z.number().int().nonnegative().optional();

export const commandResults = {
  mount: openDiskSchema,
  unlock_key: sealKeySchema,
  unlock: openDiskSchema,
  unmount: z.object({ mount_id: id, was_open: z.boolean() }),
  check: z.object({
    files: z.array(
      z.discriminatedUnion("ok", [
        z.object({ ok: z.literal(true), qcow2_path: z.string(), size_bytes: z.number().int().nonnegative(), stored_bytes: storedBytes, chain: z.array(z.string()), modified_at: z.iso.datetime() }),
        z.object({ ok: z.literal(false), qcow2_path: z.string(), error: z.object({ code: z.string(), detail: z.string() }) }),
      ]),
    ),
  }),
  scan: z.object({
    /** At most maxScanFiles; `truncated` says when there were more. */
    files: z.array(
      z.object({
        vm_name: z.string(),
        disk_index: z.number().int().nonnegative(),
        qcow2_path: z.string(),
        size_bytes: z.number().int().nonnegative(),
        stored_bytes: storedBytes,
        modified_at: z.iso.datetime(),
        /** Its chain from itself down to the base, relative to the root. */
        chain: z.array(z.string()),
        error: z.object({ code: z.string(), detail: z.string() }).nullable(),
      }),
    ),
    truncated: z.boolean(),
  }),
} as const;
export const maxScanFiles = 10_000;

export type CommandName = keyof typeof commandBodies;
export type CommandBody<N extends CommandName> = z.infer<(typeof commandBodies)[N]>;
export type CommandResult<N extends CommandName> = z.infer<(typeof commandResults)[N]>;

export const commandSchema = z.object({
  v: z.literal(1),
  id,
  op: z.enum(Object.keys(commandBodies) as [CommandName, ...CommandName[]]),
  reply_to: z.string().max(256),
  /** Past this moment the command is dropped: whoever sent it no longer waits. */
  deadline: z.iso.datetime(),
  body: z.unknown(),
});
export type Command = z.infer<typeof commandSchema>;

export const replySchema = z.discriminatedUnion("ok", [
  z.object({ v: z.literal(1), id, ok: z.literal(true), result: z.unknown() }),
  z.object({
    v: z.literal(1),
    id,
    ok: z.literal(false),
    error: z.object({
      code: z.string(),
      detail: z.string(),
      extra: z.record(z.string(), z.unknown()).optional(),
      retry_after_s: z.number().optional(),
    }),
  }),
]);
export type Reply = z.infer<typeof replySchema>;

/** Retained presence. The last will is the same with `state: "offline"` and the session it belongs to. */
export const agentStatusSchema = z.object({
  v: z.literal(1),
  agent_id: id,
  state: z.enum(["online", "offline"]),
  /** Made anew at each start of the agent: a late last will of an older session is ignored. */
  session: id,
  public_url: z.url(),
  repository_id: id,
  version: z.string().max(64),
  slots: z.number().int().positive().max(4096),
});
export type AgentStatus = z.infer<typeof agentStatusSchema>;

/** Every few seconds: all that is open on the agent. */
export const heartbeatSchema = z.object({
  v: z.literal(1),
  agent_id: id,
  session: id,
  sent_at: z.iso.datetime(),
  slots: z.object({ total: z.number().int().nonnegative(), used: z.number().int().nonnegative() }),
  mounts: z.array(openMountSchema).max(4096),
  /** Mount ids being opened right now: neither missing nor ready. */
  opening: z.array(id).max(4096),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

/** What the agent reports for the audit trail; `id` makes a repeated report harmless. */
export const agentEventSchema = z.object({
  id,
  at: z.iso.datetime(),
  type: z.enum(["transfer_finished", "mount_ended"]),
  mount_id: id,
  link_id: z.string().max(64).nullable(),
  user: z.string().max(256).nullable(),
  operation: z.enum(["download", "archive"]).nullable(),
  path: z.string().max(65_536).nullable(),
  bytes: z.number().int().nonnegative().nullable(),
  /** "complete", "client_gone", or an error code. */
  outcome: z.string().max(64),
});
export type AgentEvent = z.infer<typeof agentEventSchema>;
export const agentEventsSchema = z.object({ v: z.literal(1), agent_id: id, events: z.array(agentEventSchema).max(1000) });
