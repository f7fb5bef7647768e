import { sql, type SQL } from "drizzle-orm";
import type { z } from "zod";
import type { vmListSchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { agents, backupJobs, repositories, vmBackupContexts } from "../../database/schema.ts";
import { takenAt } from "./select-backups.ts";

export interface VmFilter {
  /** Stands anywhere in the VM's name, or in the id or name of a repository that it is in; case does not matter. */
  readonly search?: string | undefined;
  readonly limit: number;
  /** From the `next` of the page before. */
  readonly cursor?: string | undefined;
}

type Vm = z.infer<typeof vmListSchema>["vms"][number];

/** One row a VM, repository and agent of that repository. */
interface Row {
  readonly vm_name: string;
  readonly repository_id: string;
  readonly repository_name: string | null;
  readonly agent_id: string | null;
  readonly restore_points: number | null;
  readonly backup_id: string | null;
  readonly backup_type: string | null;
  readonly status: string | null;
  readonly completed_at: string | null;
  readonly taken_at: string | null;
}

/**
 * The VMs by name, each once however many repositories it is in. One statement a page: the names come
 * off the index on vm_backup_contexts, and only these VMs' restore points are looked at.
 */
export async function listVms({ ctx, input }: Call<VmFilter>): Promise<z.infer<typeof vmListSchema>> {
  const [found] = await ctx.db.execute(selectPage(input));
  const vms = new Map<string, { vm: Vm; takenAt: string }>();
  for (const row of found as unknown as Row[]) {
    const known = vms.get(row.vm_name) ?? { vm: { vm_name: row.vm_name, repositories: [], restore_points: 0, latest: null }, takenAt: "" };
    vms.set(row.vm_name, known);
    addRow(known, row, row.agent_id !== null && ctx.fleet.isOnline(row.agent_id));
  }
  const page = [...vms.values()].slice(0, input.limit).map(({ vm }) => vm);
  const last = page.at(-1);
  return { vms: page, ...(vms.size > input.limit && last !== undefined ? { next: Buffer.from(last.vm_name, "utf8").toString("base64url") } : {}) };
}

function addRow(known: { vm: Vm; takenAt: string }, row: Row, online: boolean): void {
  const { vm } = known;
  const repository = vm.repositories.find(({ id }) => id === row.repository_id);
  if (repository !== undefined) {
    // A further agent of the same repository.
    repository.online ||= online;
    return;
  }
  vm.repositories.push({ id: row.repository_id, name: row.repository_name ?? row.repository_id, online });
  vm.restore_points += row.restore_points ?? 0;
  if (row.backup_id === null || row.taken_at === null || row.taken_at <= known.takenAt) return;
  known.takenAt = row.taken_at;
  vm.latest = {
    backup_id: row.backup_id,
    backup_type: row.backup_type ?? "",
    status: row.status ?? "",
    // The session's time zone is UTC.
    completed_at: row.completed_at === null ? null : new Date(`${row.completed_at.replace(" ", "T")}Z`).toISOString(),
  };
}

/** The catalog may be an adopted one whose ids are of another character set or collation than ours. */
const repositoryId = sql`CONVERT(${vmBackupContexts.repositoryId} USING utf8mb4) COLLATE utf8mb4_bin`;

function selectPage({ search, limit, cursor }: VmFilter): SQL {
  const conditions = [
    ...(search === undefined ? [] : [sql`(${holds(vmBackupContexts.vmName, search)} OR ${holds(vmBackupContexts.repositoryId, search)} OR ${holds(repositories.name, search)})`]),
    ...(cursor === undefined ? [] : [sql`${vmBackupContexts.vmName} > ${parseCursor(cursor)}`]),
  ];
  const where = conditions.length === 0 ? sql`` : sql`WHERE ${sql.join(conditions, sql` AND `)}`;
  const newestFirst = sql`PARTITION BY ${backupJobs.vmBackupContextId} ORDER BY ${takenAt} DESC, ${backupJobs.id} DESC`;
  return sql`
    WITH page AS (
      SELECT ${vmBackupContexts.vmName} AS vm_name
      FROM ${vmBackupContexts} ${search === undefined ? sql`` : sql`LEFT JOIN ${repositories} ON ${repositories.id} = ${repositoryId}`}
      ${where} GROUP BY ${vmBackupContexts.vmName} ORDER BY ${vmBackupContexts.vmName} LIMIT ${limit + 1}
    ), points AS (
      SELECT ${backupJobs.vmBackupContextId} AS context_id, ${backupJobs.id} AS backup_id, ${backupJobs.backupType} AS backup_type,
        ${backupJobs.status} AS status, DATE_FORMAT(${backupJobs.completedAt}, '%Y-%m-%d %H:%i:%s.%f') AS completed_at,
        DATE_FORMAT(${takenAt}, '%Y-%m-%d %H:%i:%s.%f') AS taken_at,
        COUNT(*) OVER (PARTITION BY ${backupJobs.vmBackupContextId}) AS restore_points, ROW_NUMBER() OVER (${newestFirst}) AS place
      FROM page INNER JOIN ${vmBackupContexts} ON ${vmBackupContexts.vmName} = page.vm_name
        INNER JOIN ${backupJobs} ON ${backupJobs.vmBackupContextId} = ${vmBackupContexts.contextId}
    )
    SELECT page.vm_name AS vm_name, ${vmBackupContexts.repositoryId} AS repository_id, ${repositories.name} AS repository_name, ${agents.id} AS agent_id,
      points.restore_points, points.backup_id, points.backup_type, points.status, points.completed_at, points.taken_at
    FROM page INNER JOIN ${vmBackupContexts} ON ${vmBackupContexts.vmName} = page.vm_name
      LEFT JOIN ${repositories} ON ${repositories.id} = ${repositoryId}
      LEFT JOIN ${agents} ON ${agents.repositoryId} = ${repositories.id}
      LEFT JOIN points ON points.context_id = ${vmBackupContexts.contextId} AND points.place = 1
    ORDER BY page.vm_name, ${vmBackupContexts.repositoryId}, ${agents.id}`;
}

/** True where the column's text has this anywhere in it; no character of it is a wildcard. */
function holds(column: unknown, search: string): SQL {
  const folded = (text: SQL) => sql`LOWER(CONVERT(${text} USING utf8mb4)) COLLATE utf8mb4_bin`;
  return sql`LOCATE(${folded(sql`${search}`)}, ${folded(sql`${column}`)}) > 0`;
}

function parseCursor(cursor: string): string {
  const name = Buffer.from(cursor, "base64url").toString("utf8");
  if (name === "" || Buffer.from(name, "utf8").toString("base64url") !== cursor) throw new PluckError("invalid_request", "cursor: must be the `next` of the page before.");
  return name;
}
