import { and, eq, isNotNull, ne } from "drizzle-orm";
import { maxSiblingPaths } from "../../../shared/messages.ts";
import type { Context } from "../../context.ts";
import { backupDisks, restoreMounts } from "../../database/schema.ts";

/**
 * The files of the other completed disks of the backup that a mount belongs to, by disk index. They are of the same
 * restore point, so a volume group that spans disks is never put together from two.
 */
export async function findSiblings(db: Context["db"], mountId: string): Promise<string[]> {
  const [own] = await db
    .select({ id: backupDisks.id, backupId: backupDisks.backupJobId })
    .from(restoreMounts)
    .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
    .where(eq(restoreMounts.id, mountId));
  if (own === undefined) return [];
  const rows = await db
    .select({ qcow2Path: backupDisks.qcow2Path })
    .from(backupDisks)
    .where(and(eq(backupDisks.backupJobId, own.backupId), ne(backupDisks.id, own.id), eq(backupDisks.status, "completed"), isNotNull(backupDisks.qcow2Path)))
    .orderBy(backupDisks.diskIndex)
    .limit(maxSiblingPaths);
  return rows.flatMap(({ qcow2Path }) => (qcow2Path === null || qcow2Path === "" ? [] : [qcow2Path]));
}
