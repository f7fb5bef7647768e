import { AttemptLimiter } from "../../../shared/attempt-limiter.ts";
import type { Mount } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { CommandResult } from "../../../shared/messages.ts";
import { seal } from "../../../shared/sealed-secret.ts";
import type { Call, Context } from "../../context.ts";
import { getMount, getOpenMount } from "./get-mount.ts";
import { touchMount } from "./lease.ts";
import { tryRecordEvent } from "./record-event.ts";
import { setVolumes } from "./rows.ts";

export interface UnlockOrder {
  readonly mountId: string;
  /** "p3" */
  readonly volume: string;
  /** The passphrase as UTF-8, or the contents of a keyfile. */
  readonly secret: Uint8Array;
}

/** Key derivation takes seconds by design, and may have to wait for that of others. */
const unlockTimeoutMs = 240_000;
const keyTimeoutMs = 15_000;
/** By mount and volume; the agent counts as well, by disk and volume, for all coordinators together. */
const attempts = new AttemptLimiter();

/**
 * Opens an encrypted volume of a mount. The secret is encrypted for the agent before it goes to the broker; here it is
 * in no row, log or error.
 * @throws PluckError mount_not_found, path_not_found, wrong_key, too_many_attempts, agent_offline, agent_timeout, or
 * what the agent says of the volume
 */
export async function unlockVolume({ ctx, input }: Call<UnlockOrder>): Promise<Mount> {
  const { mountId, volume } = input;
  const record = await getOpenMount({ ctx, input: mountId });
  const { row, disk } = record;
  await touchMount({ ctx, input: row });
  const about = { type: "unlocked", backupId: disk.backupId, diskIndex: disk.diskIndex, mountId, agentId: row.agentId, path: volume } as const;
  const attempt = attempts.begin(`${mountId}\0${volume}`);
  let result: CommandResult<"unlock">;
  try {
    result = await sendUnlock(ctx, row.agentId, input);
    attempt.succeeded();
  } catch (error) {
    const code = error instanceof PluckError ? error.code : "internal";
    if (code !== "wrong_key") attempt.withdraw();
    await tryRecordEvent({ ctx, input: { ...about, outcome: code } });
    throw error;
  }
  await tryRecordEvent({ ctx, input: { ...about, outcome: "complete" } });
  await setVolumes(ctx.db, row, ctx.clock.now(), { volumes: result.volumes, filesystemType: result.filesystem_type?.slice(0, 1024) ?? null });
  return await getMount({ ctx, input: mountId });
}

async function sendUnlock(ctx: Context, agentId: string, { mountId, volume, secret }: UnlockOrder): Promise<CommandResult<"unlock">> {
  const key = await ctx.fleet.call(agentId, "unlock_key", { mount_id: mountId }, { timeoutMs: keyTimeoutMs });
  const sealed = await seal(secret, key, { mountId, volume });
  return await ctx.fleet.call(agentId, "unlock", { mount_id: mountId, volume, sealed }, { timeoutMs: unlockTimeoutMs });
}
