import { nanoid } from "nanoid";
import { PluckError } from "../../../shared/errors.ts";
import type { CommandResult } from "../../../shared/messages.ts";
import { webOrigin, type Context } from "../../context.ts";
import { findSiblings } from "./find-siblings.ts";
import { changeRow, findMount, markOpened, renewClaim, type RowVersion } from "./rows.ts";

export interface OpenOrder {
  /** In `mounting`, claimed by the caller. */
  readonly seen: RowVersion;
  readonly agentId: string;
  readonly publicUrl: string;
  readonly qcow2Path: string;
  /** A mount that was open before and is to come back: an agent that is away is waited for. */
  readonly isReopening: boolean;
  readonly attempts: number;
}

/** When an agent refuses to open a mount anew for a passing reason, it is asked again; not for ever. */
const maxReopenAttempts = 20;
const passing = new Set(["agent_offline", "agent_timeout", "nbd_devices_exhausted"]);
const nbdDevicePattern = /^nbd\d{1,5}$/;

/** An id for a mount: it stands in topics and URLs, so it begins with a letter. */
export function newMountId(): string {
  return `mnt-${nanoid()}`;
}

/**
 * Sends the mount command and takes the row to what came of it: mounted, failed, or gone when no slot
 * was free.
 * @throws PluckError what the agent said
 */
export async function openOnAgent({ ctx, input: order }: { ctx: Context; input: OpenOrder }): Promise<void> {
  const { db, clock, mounts } = ctx;
  const { seen, agentId } = order;
  const renewing = setInterval(() => {
    renewClaim(db, seen, new Date(clock.now().getTime() + mounts.timings.claimMs)).catch((error: unknown) => {
      ctx.logger.warn({ err: error, mountId: seen.id }, "could not renew the claim on a mount");
    });
  }, mounts.timings.claimMs / 3);
  let result: CommandResult<"mount">;
  try {
    result = await sendMount(ctx, { mountId: seen.id, agentId, qcow2Path: order.qcow2Path });
  } catch (error) {
    await settleRefusal(ctx, order, error);
    throw error;
  } finally {
    clearInterval(renewing);
  }

  const opened = await markOpened(db, seen, agentId, clock.now(), {
    nbdDevice: result.nbd_device,
    mountPath: `${order.publicUrl.replace(/\/+$/, "")}/v1/mounts/${seen.id}`,
    filesystemType: result.filesystem_type?.slice(0, 1024) ?? null,
    volumes: result.volumes,
    sizeBytes: result.size_bytes,
  });
  if (opened === undefined) await settleLateOpening(ctx, order);
}

/**
 * The mount command with the keys of today. Sent for an open mount it changes only these.
 * @throws PluckError what the agent said
 */
export async function sendMount(ctx: Context, input: { mountId: string; agentId: string; qcow2Path: string }): Promise<CommandResult<"mount">> {
  const { mountId, agentId, qcow2Path } = input;
  const { keyId } = await ctx.links.signer();
  const { keys } = await ctx.links.jwks();
  const siblings = await findSiblings(ctx.db, mountId);
  const body = { mount_id: mountId, qcow2_path: qcow2Path, ...(siblings.length === 0 ? {} : { sibling_paths: siblings }), jwks: { keys }, web_origin: webOrigin(ctx) };
  const result = await ctx.fleet.call(agentId, "mount", body, { timeoutMs: ctx.mounts.timings.mountTimeoutMs });
  if (result.mount_id !== mountId || !nbdDevicePattern.test(result.nbd_device)) {
    throw new PluckError("internal", `Agent ${agentId} answered for another mount or slot than it was asked for.`);
  }
  ctx.mounts.sentKeys.set(mountId, keyId);
  return result;
}

async function settleRefusal(ctx: Context, order: OpenOrder, error: unknown): Promise<void> {
  const { seen, isReopening, attempts } = order;
  const now = ctx.clock.now();
  const code = error instanceof PluckError ? error.code : "internal";
  if (isReopening && passing.has(code) && (code === "agent_offline" || attempts < maxReopenAttempts)) {
    await changeRow(ctx.db, seen, "released", now, { commandDeadline: now });
  } else if (code === "nbd_devices_exhausted" && !isReopening) {
    await changeRow(ctx.db, seen, "withdrawn", now);
  } else {
    const errorDetail = error instanceof PluckError ? error.message.slice(0, 16_000) : "It could not be opened; the coordinator's log has the cause.";
    await changeRow(ctx.db, seen, "refused", now, { errorCode: code, errorDetail, nbdDevice: null, commandDeadline: null });
  }
}

/** The agent has it open, but the row is no longer ours to change. */
async function settleLateOpening(ctx: Context, { seen, agentId }: OpenOrder): Promise<void> {
  const current = await findMount(ctx.db, seen.id);
  // Another coordinator took the claim over and finishes it with the same command.
  if (current?.row.status === "mounted" || current?.row.status === "mounting") return;
  await ctx.fleet.call(agentId, "unmount", { mount_id: seen.id }, { timeoutMs: ctx.mounts.timings.unmountTimeoutMs }).catch((error: unknown) => {
    ctx.logger.warn({ err: error, mountId: seen.id, agentId }, "could not end a mount that is no longer wanted; the next heartbeat does");
  });
  throw new PluckError("mount_not_found", "The mount was ended while it was being opened.");
}
