import { asc } from "drizzle-orm";
import type { Mount } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { restoreMounts } from "../../database/schema.ts";
import { poll } from "./poll.ts";
import { findMount, type MountRecord, selectMounts } from "./rows.ts";
import { toMount } from "./to-mount.ts";

/** @throws PluckError mount_not_found */
export async function getMount({ ctx, input: mountId }: Call<string>): Promise<Mount> {
  const record = await findMount(ctx.db, mountId);
  if (record === undefined) throw notFound(mountId);
  return toMount(record);
}

export async function listMounts({ ctx }: Call): Promise<Mount[]> {
  const records = await selectMounts(ctx.db).orderBy(asc(restoreMounts.createdAt), asc(restoreMounts.id));
  return records.map(toMount);
}

/**
 * The mount, open or being opened.
 * @throws PluckError mount_not_found
 */
export async function getLiveMount({ ctx, input: mountId }: Call<string>): Promise<MountRecord> {
  const record = await findMount(ctx.db, mountId);
  if (record === undefined || record.row.status === "unmounting") throw notFound(mountId);
  if (record.row.status === "failed") throw failed(record);
  return record;
}

/**
 * The mount, open: one that is just being opened (anew) is waited for.
 * @throws PluckError mount_not_found, agent_offline, or why it could not be opened
 */
export async function getOpenMount({ ctx, input: mountId }: Call<string>): Promise<MountRecord & { agent: { publicUrl: string } }> {
  let last: MountRecord | undefined;
  const record = await poll(async () => {
    last = await findMount(ctx.db, mountId);
    if (last === undefined || last.row.status !== "mounting" || !ctx.fleet.isOnline(last.row.agentId)) return last ?? null;
    return undefined;
  }, ctx.config.mountWaitS * 1000);
  const found = record === undefined ? last : record;
  if (found === null || found === undefined) throw notFound(mountId);
  const { row, agent } = found;
  if (row.status === "unmounting") throw notFound(mountId);
  if (row.status === "failed") throw failed(found);
  if (!ctx.fleet.isOnline(row.agentId) || agent.publicUrl === null) {
    throw new PluckError("agent_offline", `Agent ${row.agentId}, which holds mount ${mountId}, is offline.`, { retryAfterS: 5 });
  }
  if (row.status === "mounting") throw new PluckError("agent_timeout", `Mount ${mountId} is still being opened.`, { retryAfterS: 5 });
  return { ...found, agent: { ...agent, publicUrl: agent.publicUrl } };
}

function failed({ row }: MountRecord): PluckError {
  return new PluckError("mount_not_found", `Mount ${row.id} is not open: ${row.errorDetail ?? "it failed"} Mount the disk again.`);
}

function notFound(mountId: string): PluckError {
  return new PluckError("mount_not_found", `There is no open mount ${JSON.stringify(mountId)}; it has ended, or never was.`);
}
