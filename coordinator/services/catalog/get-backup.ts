import { eq } from "drizzle-orm";
import type { z } from "zod";
import type { backupDisksSchema, backupSchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call, Context } from "../../context.ts";
import { backupJobs } from "../../database/schema.ts";
import { selectBackups } from "./select-backups.ts";

/** @throws PluckError backup_not_found */
export async function getBackup({ ctx, input: backupId }: { ctx: Pick<Context, "db">; input: string }): Promise<z.infer<typeof backupSchema>> {
  const found = await selectBackups(ctx.db, eq(backupJobs.id, backupId), 2);
  // An adopted catalog may compare ids without regard to case or trailing blanks; we don't.
  const exact = found.find(({ backup }) => backup.backup_id === backupId);
  if (exact === undefined) throw new PluckError("backup_not_found", `There is no backup ${JSON.stringify(backupId)}.`);
  return exact.backup;
}

/** The disks of a backup, by index. @throws PluckError backup_not_found */
export async function listDisks({ ctx, input: backupId }: Call<string>): Promise<z.infer<typeof backupDisksSchema>> {
  const { backup_id, disks } = await getBackup({ ctx, input: backupId });
  return { backup_id, disks };
}
