import { eq, inArray } from "drizzle-orm";
import type { Call } from "../../context.ts";
import { backupDisks, backupJobs, restoreMounts } from "../../database/schema.ts";
import { requireRole } from "../access/authenticate.ts";
import { recordEvent } from "../events/record-event.ts";
import { refreshChain } from "./chains.ts";
import { getBackup } from "./get-backup.ts";
import { inContext, refreshLatest, withRetry } from "./insert-backup.ts";

/**
 * Takes a restore point out of the catalog (its files stay). Its mounts go with it, on the agent too: a
 * deletion wins over a lease.
 * @throws PluckError backup_not_found
 */
export async function deleteBackup({ ctx, input: backupId }: Call<string>): Promise<void> {
  requireRole(ctx.actor, "admin");
  await getBackup({ ctx, input: backupId });
  const [job] = await ctx.db.select({ contextId: backupJobs.vmBackupContextId }).from(backupJobs).where(eq(backupJobs.id, backupId)).limit(1);
  // A job of an adopted catalog may have no context.
  const mounts = await withRetry(async () => await inContext(ctx.db, job?.contextId ?? "", async (tx) => {
    const disks = await tx.select({ id: backupDisks.id, index: backupDisks.diskIndex }).from(backupDisks).where(eq(backupDisks.backupJobId, backupId));
    const ids = disks.map(({ id }) => id);
    const open = ids.length === 0 ? [] : await tx.select({ mountId: restoreMounts.id, agentId: restoreMounts.agentId }).from(restoreMounts).where(inArray(restoreMounts.backupDiskId, ids));
    // The disks by name: an adopted catalog may lack the reference that would cascade. The mounts follow the disks.
    await tx.delete(backupDisks).where(eq(backupDisks.backupJobId, backupId));
    await tx.delete(backupJobs).where(eq(backupJobs.id, backupId));
    if (job?.contextId !== undefined && job.contextId !== null) {
      await refreshLatest(tx, job.contextId, ctx.clock.now());
      for (const index of new Set(disks.map((disk) => disk.index))) await refreshChain(tx, job.contextId, index);
    }
    return open;
  }));
  await recordEvent({ ctx, input: { type: "backup_deleted", backupId, outcome: "complete" } });
  await ctx.mounts.endDeleted(mounts);
}
