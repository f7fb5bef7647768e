import { createHash } from "node:crypto";
import { and, asc, eq, sql } from "drizzle-orm";
import { databaseErrorCode, isDuplicateKey, type Queries } from "../../database/connect.ts";
import { backupChains, backupDisks, backupJobs } from "../../database/schema.ts";
import { insertRow } from "./insert-row.ts";

/** A restore point of one disk, oldest first. */
export interface ChainLink {
  readonly backupId: string;
  readonly backupType: string;
}

export interface Chain {
  readonly fullBackupId: string;
  readonly latestBackupId: string;
  readonly totalBackups: number;
}

/** The chain that the newest restore point stands on: from the last full one on. Undefined when there is none. */
export function findChain(links: readonly ChainLink[]): Chain | undefined {
  const latest = links.at(-1);
  if (latest === undefined) return undefined;
  const lastFull = links.findLastIndex(({ backupType }) => backupType === "full");
  const from = Math.max(lastFull, 0);
  return { fullBackupId: links[from]?.backupId ?? latest.backupId, latestBackupId: latest.backupId, totalBackups: links.length - from };
}

/** Brings backup_chains up to date for one disk of a VM; it is derived from the restore points. */
export async function refreshChain(db: Queries, contextId: string, diskIndex: number): Promise<void> {
  const links = await db
    .select({ backupId: backupJobs.id, backupType: backupJobs.backupType })
    .from(backupDisks)
    .innerJoin(backupJobs, eq(backupJobs.id, backupDisks.backupJobId))
    .where(and(eq(backupDisks.vmBackupContextId, contextId), eq(backupDisks.diskIndex, diskIndex), eq(backupDisks.status, "completed")))
    .orderBy(asc(sql`COALESCE(${backupJobs.completedAt}, ${backupJobs.createdAt})`), asc(backupDisks.id));
  const chain = findChain(links);
  const here = and(eq(backupChains.vmContextId, contextId), eq(backupChains.diskId, diskIndex));
  if (chain === undefined) {
    await db.delete(backupChains).where(here);
    return;
  }
  // affectedRows counts what was matched.
  const [updated] = await db.update(backupChains).set(chain).where(here);
  if (updated.affectedRows > 0) return;
  try {
    await insertRow(db, "backup_chains", {
      id: chainId(contextId, diskIndex),
      vm_context_id: contextId,
      disk_id: diskIndex,
      full_backup_id: chain.fullBackupId,
      latest_backup_id: chain.latestBackupId,
      total_backups: chain.totalBackups,
    });
  } catch (error) {
    if (isDuplicateKey(error)) await db.update(backupChains).set(chain).where(here);
    // An adopted catalog may tie its chains to tables of its own; then they are its owner's to keep.
    else if (databaseErrorCode(error) !== "ER_NO_REFERENCED_ROW_2") throw error;
  }
}

function chainId(contextId: string, diskIndex: number): string {
  return `chain-${createHash("sha256").update(`${contextId}\0${String(diskIndex)}`).digest("hex").slice(0, 32)}`;
}
