import { and, sql, type SQL } from "drizzle-orm";
import type { z } from "zod";
import type { backupListSchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { exactly } from "../../database/exactly.ts";
import { backupJobs, vmBackupContexts } from "../../database/schema.ts";
import { selectBackups, takenAt } from "./select-backups.ts";

export interface BackupFilter {
  readonly vmName?: string | undefined;
  readonly repositoryId?: string | undefined;
  readonly limit: number;
  /** From the `next` of the page before. */
  readonly cursor?: string | undefined;
}

/** Restore points, newest first. A page stays right while others come and go: the cursor names a place, not a count. */
export async function listBackups({ ctx, input }: Call<BackupFilter>): Promise<z.infer<typeof backupListSchema>> {
  const conditions: (SQL | undefined)[] = [
    input.vmName === undefined ? undefined : exactly(backupJobs.vmName, input.vmName),
    input.repositoryId === undefined ? undefined : exactly(vmBackupContexts.repositoryId, input.repositoryId),
    input.cursor === undefined ? undefined : after(input.cursor),
  ];
  const found = await selectBackups(ctx.db, and(...conditions), input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    backups: page.map(({ backup }) => backup),
    ...(found.length > input.limit && last !== undefined ? { next: Buffer.from(JSON.stringify([last.takenAt, last.backup.backup_id])).toString("base64url") } : {}),
  };
}

function after(cursor: string): SQL {
  const [moment, id] = parseCursor(cursor);
  const then = sql`CAST(${moment} AS DATETIME(3))`;
  return sql`(${takenAt} < ${then} OR (${takenAt} = ${then} AND ${backupJobs.id} < ${id}))`;
}

function parseCursor(cursor: string): [string, string] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    if (Array.isArray(value) && value.length === 2) {
      const [moment, id] = value as unknown[];
      if (typeof moment === "string" && /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6}$/.test(moment) && typeof id === "string" && id.length <= 64) return [moment, id];
    }
  } catch {
    // Said below.
  }
  throw new PluckError("invalid_request", "cursor: must be the `next` of the page before.");
}
