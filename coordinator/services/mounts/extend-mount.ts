import type { Mount } from "../../../shared/api.ts";
import type { Call } from "../../context.ts";
import { getLiveMount } from "./get-mount.ts";
import { leaseEnd } from "./lease.ts";
import { recordEvent } from "./record-event.ts";
import { extendLeases } from "./rows.ts";
import { toMount } from "./to-mount.ts";

/**
 * Begins a mount's lease anew, as an access does. The agent is not asked: it holds what the row says.
 * @throws PluckError mount_not_found, also for one that is ending or failed
 */
export async function extendMount({ ctx, input: mountId }: Call<string>): Promise<Mount> {
  const { row, disk } = await getLiveMount({ ctx, input: mountId });
  const now = ctx.clock.now();
  await extendLeases(ctx.db, [{ id: row.id, accessedAt: now, expiresAt: leaseEnd(now, ctx.config.idleTimeoutS) }]);
  // Ended in between, its lease was left as it was.
  const extended = await getLiveMount({ ctx, input: mountId });
  await recordEvent({ ctx, input: { type: "extended", backupId: disk.backupId, diskIndex: disk.diskIndex, mountId, agentId: row.agentId, outcome: "complete" } });
  return toMount(extended);
}
